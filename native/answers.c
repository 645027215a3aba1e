/* What the helper answers: one line for each command. */
#include "helper.h"

#include <stdarg.h>
#include <stdio.h>

int ok(const char *format, ...) {
  va_list values;
  va_start(values, format);
  printf("ok ");
  vprintf(format, values);
  va_end(values);
  printf("\n");
  return 0;
}

int failed(const char *word, const char *format, ...) {
  va_list values;
  va_start(values, format);
  printf("error %s ", word);
  vprintf(format, values);
  va_end(values);
  printf("\n");
  return -1;
}
