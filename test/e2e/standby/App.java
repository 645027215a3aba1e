import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;

/** A JVM server over many small objects: App PORT MIB. `/` reads 500 of them, `/check` all; each has its checksum. */
public class App {
  record Row(String text, byte[] bytes, long sum) {}

  static long sumOf(String text, byte[] bytes) {
    long sum = text.hashCode();
    for (int i = 0; i < bytes.length; i += 5) sum = sum * 31 + bytes[i];
    return sum;
  }

  static String check(Map<Integer, Row> rows, int id) {
    Row row = rows.get(id);
    return sumOf(row.text, row.bytes) == row.sum ? null : "BAD " + id;
  }

  public static void main(String[] words) throws Exception {
    int count = Integer.parseInt(words[1]) * 400;
    Map<Integer, Row> rows = new HashMap<>();
    Random random = new Random(7);
    for (int id = 0; id < count; id++) {
      byte[] bytes = new byte[2400];
      for (int i = 0; i < 1200; i++) bytes[i] = (byte) random.nextInt();
      String text = "row-" + id + "-" + random.nextLong();
      rows.put(id, new Row(text, bytes, sumOf(text, bytes)));
    }
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[0])), 64);
    server.createContext("/", exchange -> {
      boolean all = exchange.getRequestURI().getPath().equals("/check");
      String wrong = null;
      for (int i = 0; i < (all ? count : 500) && wrong == null; i++)
        wrong = check(rows, all ? i : ThreadLocalRandom.current().nextInt(count));
      byte[] answer = ((wrong == null ? "ok " + ProcessHandle.current().pid() : wrong) + "\n").getBytes();
      exchange.getResponseHeaders().set("Connection", "close");
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.start();
  }
}
