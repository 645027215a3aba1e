/**
 * The part of OpenAPI v3 that a structural CustomResourceDefinition schema may use. One literal of this type gives the
 * CRD, the TypeScript type, the defaults, the offline validation and the reference page.
 */
export interface Schema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly description?: string;
  readonly format?: "int32" | "int64" | "date-time";
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly anyOf?: readonly [{ readonly type: "integer" }, { readonly type: "string" }];
  readonly "x-kubernetes-int-or-string"?: true;
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-map-type"?: "atomic";
  readonly "x-kubernetes-list-type"?: "map" | "set" | "atomic";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-validations"?: readonly Rule[];
}

/** A rule across fields, in CEL; `self` is the value that the schema describes. The message names the remedy. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
}

type Flat<T> = { readonly [K in keyof T]: T[K] };
type RequiredKeys<S> = S extends { required: readonly (infer K)[] } ? K : never;
type DefaultedKeys<P> = { [K in keyof P]: P[K] extends { default: unknown } ? K : never }[keyof P];

type Of<S, Filled extends boolean> = S extends { "x-kubernetes-int-or-string": true }
  ? number | string
  : S extends { type: "object"; properties: infer P }
    ? Flat<
        {
          [K in keyof P as K extends RequiredKeys<S> | (Filled extends true ? DefaultedKeys<P> : never)
            ? K
            : never]: Of<P[K], Filled>;
        } & {
          [K in keyof P as K extends RequiredKeys<S> | (Filled extends true ? DefaultedKeys<P> : never)
            ? never
            : K]?: Of<P[K], Filled>;
        }
      >
    : S extends { type: "object"; additionalProperties: infer V }
      ? { readonly [key: string]: Of<V, Filled> }
      : S extends { type: "object" }
        ? { readonly [key: string]: unknown }
        : S extends { type: "array"; items: infer I }
          ? readonly Of<I, Filled>[]
          : S extends { enum: readonly (infer E)[] }
            ? E
            : S extends { type: "string" }
              ? string
              : S extends { type: "integer" | "number" }
                ? number
                : S extends { type: "boolean" }
                  ? boolean
                  : unknown;

/** The value as it is read: defaults filled in, so a field with a default is never absent. */
export type FromSchema<S> = Of<S, true>;

/** The value as people and appliers write it: a field with a default may be left out. */
export type Written<S> = Of<S, false>;
