import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.zip.CRC32;

/**
 * The JVM's counterpart of checked-store.ts, with the same paths and answers: {@code java CheckedStore PORT MEBIBYTES}.
 */
public final class CheckedStore {
  private record Row(String text, byte[] bytes) {}

  private static final String INSTANCE = UUID.randomUUID().toString();
  private static final AtomicLong REQUESTS = new AtomicLong();

  private final Map<Integer, Row> rows = new HashMap<>();
  private final long[] checksums;
  private final int[] hot;

  private CheckedStore(int rowCount) {
    Random random = new Random(1);
    checksums = new long[rowCount];
    for (int key = 0; key < rowCount; key++) {
      byte[] bytes = new byte[1536];
      random.nextBytes(bytes);
      StringBuilder text = new StringBuilder();
      while (text.length() < 400) text.append(Long.toString(random.nextLong(), 36));
      rows.put(key, new Row(text.toString(), bytes));
      checksums[key] = checksum(key);
    }
    hot = random.ints(500, 0, rowCount).toArray();
  }

  private long checksum(int key) {
    Row row = rows.get(key);
    CRC32 sum = new CRC32();
    sum.update(row.text().getBytes(StandardCharsets.ISO_8859_1));
    sum.update(row.bytes());
    return sum.getValue();
  }

  private void answer(HttpExchange exchange, IntStream keys) throws IOException {
    long damaged = keys.filter(key -> checksum(key) != checksums[key]).count();
    String body =
        "{\"ok\":%s,\"instance\":\"%s\",\"requests\":%d,\"rows\":%d,\"damaged\":%d}\n"
            .formatted(damaged == 0, INSTANCE, REQUESTS.incrementAndGet(), checksums.length, damaged);
    exchange.getResponseHeaders().set("content-type", "application/json");
    send(exchange, damaged == 0 ? 200 : 500, body);
  }

  private static void send(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  public static void main(String[] arguments) throws IOException {
    int port = Integer.parseInt(arguments[0]);
    int mebibytes = Integer.parseInt(arguments[1]);
    CheckedStore store = new CheckedStore(mebibytes * 512);
    HttpServer server = HttpServer.create(new InetSocketAddress(port), 64);
    server.createContext("/healthz", exchange -> send(exchange, 200, "ok\n"));
    server.createContext("/check", exchange -> store.answer(exchange, IntStream.range(0, store.checksums.length)));
    server.createContext("/hot", exchange -> store.answer(exchange, IntStream.of(store.hot)));
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.start();
    System.out.println("filled " + mebibytes + " MiB, listening on " + port);
  }
}
