import io.spiffe.bundle.jwtbundle.JwtBundleSet;
import io.spiffe.bundle.x509bundle.X509Bundle;
import io.spiffe.exception.JwtSvidException;
import io.spiffe.spiffeid.SpiffeId;
import io.spiffe.svid.jwtsvid.JwtSvid;
import io.spiffe.svid.x509svid.X509Svid;
import io.spiffe.svid.x509svid.X509SvidValidator;
import io.spiffe.workloadapi.DefaultWorkloadApiClient;
import io.spiffe.workloadapi.Watcher;
import io.spiffe.workloadapi.WorkloadApiClient;
import io.spiffe.workloadapi.X509Context;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A workload in Java: it uses java-spiffe, unmodified, against an agent, and finds nothing to complain about.
 *
 * <pre>
 * x509 SOCKET SPIFFE_ID GENERATIONS   fetches X509-SVIDs, verifies them, and watches so many further generations
 * verify CHAIN SPIFFE_ID ROOTS        verifies a chain in a file, leaf first, by the roots in another
 * jwt SOCKET SPIFFE_ID AUDIENCE       fetches a JWT-SVID, has it validated by the agent, and verifies it with the keys from the agent
 * </pre>
 *
 * Prints one line of JSON for each thing that it saw. Ends with exit 0 when each was as the standard says, else with the reason.
 */
public final class Client {
    /** The longest wait for the next generation, in seconds: lives are 10. */
    private static final long PATIENCE = 40;

    private Client() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 4) {
            throw new IllegalArgumentException("usage: x509|jwt|verify SOCKET|CHAIN SPIFFE_ID GENERATIONS|AUDIENCE|ROOTS");
        }
        if (arguments[0].equals("verify")) {
            verifyFiles(Path.of(arguments[1]), SpiffeId.parse(arguments[2]), Path.of(arguments[3]));
            System.exit(0);
        }
        var options = DefaultWorkloadApiClient.ClientOptions.builder().spiffeSocketPath("unix:" + arguments[1]).build();
        SpiffeId id = SpiffeId.parse(arguments[2]);
        try (WorkloadApiClient client = DefaultWorkloadApiClient.newClient(options)) {
            switch (arguments[0]) {
                case "x509" -> watch(client, id, Integer.parseInt(arguments[3]));
                case "jwt" -> verify(client, id, arguments[3]);
                default -> throw new IllegalArgumentException("unknown: " + arguments[0]);
            }
        }
        // The library's threads may live on.
        System.exit(0);
    }

    private static void watch(WorkloadApiClient client, SpiffeId id, int further) throws Exception {
        BlockingQueue<X509Context> updates = new LinkedBlockingQueue<>();
        client.watchX509Context(new Watcher<>() {
            @Override
            public void onUpdate(X509Context context) {
                updates.add(context);
            }

            @Override
            public void onError(Throwable error) {
                System.err.println(error);
            }
        });
        Set<String> seen = new HashSet<>();
        while (seen.size() <= further) {
            X509Context context = updates.poll(PATIENCE, TimeUnit.SECONDS);
            require(context != null, "no further generation after " + seen.size());
            String serial = serial(context, id);
            if (seen.add(serial)) {
                System.out.println("{\"serial\":\"" + serial + "\"}");
            }
        }
    }

    /** Verifies an SVID by the bundles that came with it, and returns its serial number in hex, as the journal shows it. */
    private static String serial(X509Context context, SpiffeId id) throws Exception {
        X509Svid svid = context.getDefaultSvid();
        X509SvidValidator.verifySpiffeId(svid.getLeaf(), () -> Set.of(id));
        X509SvidValidator.verifyChain(svid.getChain(), context.getX509BundleSet());
        require(svid.getSpiffeId().equals(id), svid.getSpiffeId() + " is not " + id);
        return String.format("%032x", svid.getLeaf().getSerialNumber());
    }

    /** Ends with the library's exception where the chain is not believed. */
    private static void verifyFiles(Path chain, SpiffeId id, Path roots) throws Exception {
        List<X509Certificate> certificates = new ArrayList<>();
        try (InputStream stream = Files.newInputStream(chain)) {
            for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(stream)) {
                certificates.add((X509Certificate) certificate);
            }
        }
        X509SvidValidator.verifySpiffeId(certificates.get(0), () -> Set.of(id));
        X509SvidValidator.verifyChain(certificates, X509Bundle.load(id.getTrustDomain(), roots));
        System.out.println("{\"believed\":\"" + id + "\"}");
    }

    private static void verify(WorkloadApiClient client, SpiffeId id, String audience) throws Exception {
        String token = client.fetchJwtSvid(audience).getToken();
        JwtSvid validated = client.validateJwtSvid(token, audience);
        require(validated.getSpiffeId().equals(id), "the agent says " + validated.getSpiffeId());
        JwtBundleSet bundles = client.fetchJwtBundles();
        JwtSvid verified = JwtSvid.parseAndValidate(token, bundles, Set.of(audience));
        require(verified.getSpiffeId().equals(id), "the keys say " + verified.getSpiffeId());
        require(refuses(() -> JwtSvid.parseAndValidate(token, bundles, Set.of("not-" + audience))), "a token for another audience was accepted");
        System.out.println("{\"sub\":\"" + verified.getSpiffeId() + "\"}");
    }

    private interface Check {
        void run() throws Exception;
    }

    private static boolean refuses(Check check) throws Exception {
        try {
            check.run();
            return false;
        } catch (JwtSvidException refused) {
            return true;
        }
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }
}
