import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which sessions of Ratchet have ended: follows GET /auth/revocations in a thread of its own. One per process. Needs
 * Java 17 and nothing else, so it serves Spring, Quarkus, Micronaut and plain Nimbus or java-jwt alike.
 *
 * <p>A session is refused within a second of its end. When the news is older than {@code maxStaleness}, nothing is
 * accepted until it is current again.
 */
public final class RatchetSessions implements AutoCloseable {

  /** Answer 401. */
  public static final class Ended extends RuntimeException {}

  /** Answer 503, and never 401, on which clients sign out. */
  public static final class Unavailable extends RuntimeException {}

  /** No access token lives longer than an hour; two minutes more for clocks. */
  private static final long KEPT_NANOS = Duration.ofSeconds(3_720).toNanos();

  private static final Pattern LIST = Pattern.compile("\"revoked\":\\[([^\\]]*)]");
  private static final Pattern ID = Pattern.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}");

  private final Map<String, Long> toldAt = new ConcurrentHashMap<>();
  private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();
  private final String url;
  private final long maxStalenessNanos;
  private final Thread follower = new Thread(this::follow, "ratchet-sessions");

  /** On {@link System#nanoTime()}; every session that ended before is known. Null before the first news. */
  private volatile Long currentAsOf;

  /** @param baseUrl where this backend reaches Ratchet */
  public RatchetSessions(String baseUrl, Duration maxStaleness) {
    url = baseUrl + "/auth/revocations";
    maxStalenessNanos = maxStaleness.toNanos();
    follower.setDaemon(true);
    follower.start();
  }

  /** Returns only if the session is known to be live. */
  public void check(String sessionId) {
    if (sessionId == null || toldAt.containsKey(sessionId)) {
      throw new Ended();
    }
    Long asOf = currentAsOf;
    if (asOf == null || System.nanoTime() - asOf > maxStalenessNanos) {
      throw new Unavailable();
    }
  }

  @Override
  public void close() {
    follower.interrupt();
  }

  private void follow() {
    String cursor = null;
    long pauseMillis = 100;
    while (!Thread.currentThread().isInterrupted()) {
      try {
        long askedAt = System.nanoTime();
        String query = cursor == null ? "" : "?after=" + URLEncoder.encode(cursor, StandardCharsets.UTF_8);
        var request = HttpRequest.newBuilder(URI.create(url + query)).timeout(Duration.ofSeconds(10)).build();
        var response = http.send(request, BodyHandlers.ofString());
        if (response.statusCode() == 400) {
          cursor = null; // not one of this service: ask for the whole list
        }
        if (response.statusCode() != 200) {
          throw new IllegalStateException("status " + response.statusCode());
        }
        cursor = learn(response.body(), askedAt);
        pauseMillis = 100;
        Thread.sleep(Math.max(0, 300 - (System.nanoTime() - askedAt) / 1_000_000));
      } catch (InterruptedException stopped) {
        return;
      } catch (Exception unavailable) { // whatever it is, the thread goes on, and the news grows old
        try {
          Thread.sleep(pauseMillis);
        } catch (InterruptedException stopped) {
          return;
        }
        pauseMillis = Math.min(2 * pauseMillis, 2_000);
      }
    }
  }

  /** Reads the answer by pattern: its members are an array of UUIDs, a text without escapes, and two numbers. */
  private String learn(String answer, long askedAt) {
    String revoked = find(LIST, answer);
    String cursor = find(Pattern.compile("\"cursor\":\"([^\"\\\\]*)\""), answer);
    double seconds = number("waited_seconds", answer) - number("age_seconds", answer);
    // The age is subtracted: the news is older than the answer, which left no earlier than it was asked for and waited.
    long asOf = askedAt + (long) (seconds * 1e9);
    long now = System.nanoTime();
    if (asOf > now) {
      throw new IllegalStateException("not an answer of Ratchet");
    }
    for (Matcher id = ID.matcher(revoked); id.find(); ) {
      toldAt.putIfAbsent(id.group(), now);
    }
    toldAt.values().removeIf(at -> now - at > KEPT_NANOS);
    if (currentAsOf == null || asOf > currentAsOf) {
      currentAsOf = asOf;
    }
    return cursor;
  }

  private static double number(String name, String answer) {
    return Double.parseDouble(find(Pattern.compile("\"" + name + "\":([-+.eE0-9]+)"), answer));
  }

  private static String find(Pattern pattern, String text) {
    Matcher matcher = pattern.matcher(text);
    if (!matcher.find()) {
      throw new IllegalStateException("not an answer of Ratchet");
    }
    return matcher.group(1);
  }
}
