import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.zip.CRC32;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.*;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/**
 * The AWS SDK for Java with the settings it has by default, against the store at
 * AWS_ENDPOINT_URL: a whole tree there and back, and what the SDK does beside that.
 */
public class Check {
    static final int MIB = 1 << 20;
    static final Path TREE = Path.of(System.getenv("TREE"));
    static final Path BACK = Path.of(System.getenv("BACK"));
    static final URI STORE = URI.create(System.getenv("AWS_ENDPOINT_URL"));
    static final S3Client s3 = S3Client.create();
    static final Random random = new Random(1);

    interface Step {
        void run(String bucket) throws Exception;
    }

    interface Call {
        void run() throws Exception;
    }

    static void must(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(String.valueOf(what));
        }
    }

    /** The call must be refused with this code and status. */
    static void refused(String code, int status, Call call) throws Exception {
        try {
            call.run();
        } catch (S3Exception e) {
            must(e.statusCode() == status && code.equals(e.awsErrorDetails().errorCode()), e);
            return;
        }
        throw new AssertionError("not refused, want " + code);
    }

    static byte[] bytes(int n) {
        byte[] b = new byte[n];
        random.nextBytes(b);
        return b;
    }

    static String crc32(byte[] b) {
        CRC32 sum = new CRC32();
        sum.update(b);
        return Base64.getEncoder().encodeToString(ByteBuffer.allocate(4).putInt((int) sum.getValue()).array());
    }

    static byte[] read(String bucket, String key) {
        return s3.getObjectAsBytes(b -> b.bucket(bucket).key(key)).asByteArray();
    }

    static void each(List<String> names, Consumer<String> work) throws Exception {
        var pool = Executors.newFixedThreadPool(8);
        List<Future<?>> all = new ArrayList<>();
        for (String name : names) {
            all.add(pool.submit(() -> work.accept(name)));
        }
        for (Future<?> one : all) {
            one.get();
        }
        pool.shutdown();
    }

    static void tree(String bucket) throws Exception {
        List<String> names = new ArrayList<>();
        try (var files = Files.walk(TREE)) {
            files.filter(Files::isRegularFile).forEach(f -> names.add(TREE.relativize(f).toString()));
        }
        names.sort((a, b) -> Arrays.compareUnsigned(a.getBytes(), b.getBytes()));
        each(names, name -> s3.putObject(b -> b.bucket(bucket).key(name), TREE.resolve(name)));
        each(names, name -> {
            try {
                Files.createDirectories(BACK.resolve(name).getParent());
            } catch (IOException e) {
                throw new RuntimeException(e);
            }
            s3.getObject(b -> b.bucket(bucket).key(name), BACK.resolve(name));
        });
        List<String> listed = s3.listObjectsV2Paginator(b -> b.bucket(bucket).maxKeys(113)).contents().stream().map(S3Object::key).toList();
        must(listed.equals(names), "the listing is not what was written, in order");
        List<String> met = new ArrayList<>();
        ArrayDeque<String> folders = new ArrayDeque<>(List.of(""));
        while (!folders.isEmpty()) {
            String folder = folders.pop();
            for (var page : s3.listObjectsV2Paginator(b -> b.bucket(bucket).prefix(folder).delimiter("/").maxKeys(7))) {
                page.contents().forEach(o -> met.add(o.key()));
                page.commonPrefixes().forEach(p -> folders.add(p.prefix()));
            }
        }
        must(met.size() == names.size() && met.containsAll(names), "walking by delimiter finds other keys");
        for (int i = 0; i < names.size(); i += 1000) {
            List<ObjectIdentifier> some = names.subList(i, Math.min(i + 1000, names.size())).stream()
                .map(n -> ObjectIdentifier.builder().key(n).build()).toList();
            var out = s3.deleteObjects(b -> b.bucket(bucket).delete(d -> d.objects(some)));
            must(out.deleted().size() == some.size() && out.errors().isEmpty(), out.errors());
        }
        must(s3.listObjectsV2(b -> b.bucket(bucket)).keyCount() == 0, "keys are left");
    }

    static void checksums(String bucket) throws Exception {
        byte[] data = bytes(100_000);
        var put = s3.putObject(b -> b.bucket(bucket).key("default"), RequestBody.fromBytes(data));
        must(crc32(data).equals(put.checksumCRC32()) && put.checksumType() == ChecksumType.FULL_OBJECT, put);
        must(Arrays.equals(read(bucket, "default"), data), "other bytes");
        for (ChecksumAlgorithm a : List.of(ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32_C, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256)) {
            s3.putObject(b -> b.bucket(bucket).key(a.toString()).checksumAlgorithm(a), RequestBody.fromBytes(data));
            var head = s3.headObject(b -> b.bucket(bucket).key(a.toString()).checksumMode(ChecksumMode.ENABLED));
            must(head.getValueForField("Checksum" + a, String.class).isPresent(), head);
        }
        refused("BadDigest", 400, () -> s3.putObject(b -> b.bucket(bucket).key("wrong").checksumCRC32("AAAAAA=="), RequestBody.fromBytes(data)));
        refused("BadDigest", 400, () -> s3.putObject(b -> b.bucket(bucket).key("wrong").contentMD5("AAAAAAAAAAAAAAAAAAAAAA=="), RequestBody.fromBytes(data)));
    }

    static void multipart(String bucket) throws Exception {
        byte[] data = bytes(20 * MIB + 7);
        Path file = Files.createTempFile("check", "");
        Files.write(file, data);
        try (S3AsyncClient async = S3AsyncClient.builder().multipartEnabled(true).build();
                S3TransferManager transfers = S3TransferManager.builder().s3Client(async).build()) {
            transfers.uploadFile(b -> b.source(file).putObjectRequest(p -> p.bucket(bucket).key("managed").metadata(Map.of("colour", "blue"))))
                .completionFuture().join();
            var head = s3.headObject(b -> b.bucket(bucket).key("managed").checksumMode(ChecksumMode.ENABLED));
            must(head.eTag().endsWith("-3\"") && "blue".equals(head.metadata().get("colour")) && head.checksumCRC32() != null, head);
            transfers.downloadFile(b -> b.destination(file).getObjectRequest(g -> g.bucket(bucket).key("managed"))).completionFuture().join();
            must(Arrays.equals(Files.readAllBytes(file), data), "other bytes");
            transfers.copy(b -> b.copyObjectRequest(c -> c.sourceBucket(bucket).sourceKey("managed").destinationBucket(bucket).destinationKey("copy ä+")))
                .completionFuture().join();
            must(Arrays.equals(read(bucket, "copy ä+"), data), "other bytes of the copy");
            // A body whose length nobody knows.
            var body = AsyncRequestBody.forBlockingInputStream(null);
            var sent = async.putObject(b -> b.bucket(bucket).key("stream"), body);
            body.writeInputStream(Files.newInputStream(file));
            sent.join();
            must(Arrays.equals(read(bucket, "stream"), data), "other bytes of the stream");
        }
        byte[] range = s3.getObjectAsBytes(b -> b.bucket(bucket).key("managed").range("bytes=8388600-8388620")).asByteArray();
        must(Arrays.equals(range, Arrays.copyOfRange(data, 8388600, 8388621)), "other bytes of the range");
        String upload = s3.createMultipartUpload(b -> b.bucket(bucket).key("given up")).uploadId();
        s3.abortMultipartUpload(b -> b.bucket(bucket).key("given up").uploadId(upload));
        refused("NoSuchUpload", 404, () -> s3.listParts(b -> b.bucket(bucket).key("given up").uploadId(upload)));
    }

    static void presigned(String bucket) throws Exception {
        String key = "odd näme/?&+ %";
        HttpClient http = HttpClient.newHttpClient();
        try (S3Presigner presigner = S3Presigner.builder().endpointOverride(STORE).build()) {
            var up = presigner.presignPutObject(b -> b.signatureDuration(Duration.ofMinutes(1)).putObjectRequest(p -> p.bucket(bucket).key(key)));
            var put = HttpRequest.newBuilder(up.url().toURI()).PUT(HttpRequest.BodyPublishers.ofString("by link"));
            up.signedHeaders().forEach((name, values) -> {
                if (!name.equalsIgnoreCase("host")) {
                    put.header(name, values.get(0));
                }
            });
            var sent = http.send(put.build(), HttpResponse.BodyHandlers.ofString());
            must(sent.statusCode() == 200, sent.body());
            var down = presigner.presignGetObject(b -> b.signatureDuration(Duration.ofMinutes(1)).getObjectRequest(g -> g.bucket(bucket).key(key)));
            var got = http.send(HttpRequest.newBuilder(down.url().toURI()).build(), HttpResponse.BodyHandlers.ofString());
            must(got.statusCode() == 200 && got.body().equals("by link"), got.body());
            var forged = URI.create(down.url().toString().replace("X-Amz-Signature=", "X-Amz-Signature=0"));
            must(http.send(HttpRequest.newBuilder(forged).build(), HttpResponse.BodyHandlers.ofString()).statusCode() == 403, "a forged signature is taken");
        }
    }

    static void conditional(String bucket) throws Exception {
        String first = s3.putObject(b -> b.bucket(bucket).key("lock").ifNoneMatch("*"), RequestBody.fromString("1")).eTag();
        refused("PreconditionFailed", 412, () -> s3.putObject(b -> b.bucket(bucket).key("lock").ifNoneMatch("*"), RequestBody.fromString("2")));
        s3.putObject(b -> b.bucket(bucket).key("lock").ifMatch(first), RequestBody.fromString("2"));
        refused("PreconditionFailed", 412, () -> s3.putObject(b -> b.bucket(bucket).key("lock").ifMatch(first), RequestBody.fromString("3")));
        refused("PreconditionFailed", 412, () -> s3.deleteObject(b -> b.bucket(bucket).key("lock").ifMatch(first)));
        must(Arrays.equals(read(bucket, "lock"), "2".getBytes()), "a refused write was done");
    }

    static void versions(String bucket) throws Exception {
        s3.putBucketVersioning(b -> b.bucket(bucket).versioningConfiguration(v -> v.status(BucketVersioningStatus.ENABLED)));
        List<ObjectIdentifier> all = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            String id = s3.putObject(b -> b.bucket(bucket).key("k"), RequestBody.fromString("x" + all.size())).versionId();
            all.add(ObjectIdentifier.builder().key("k").versionId(id).build());
        }
        String third = s3.getObjectAsBytes(b -> b.bucket(bucket).key("k").versionId(all.get(3).versionId())).asUtf8String();
        must(third.equals("x3"), third);
        var marker = s3.deleteObject(b -> b.bucket(bucket).key("k"));
        must(marker.deleteMarker(), marker);
        refused("NoSuchKey", 404, () -> read(bucket, "k"));
        long met = s3.listObjectVersionsPaginator(b -> b.bucket(bucket).maxKeys(6)).versions().stream().count();
        must(met == 20, met + " versions");
        all.add(ObjectIdentifier.builder().key("k").versionId(marker.versionId()).build());
        var out = s3.deleteObjects(b -> b.bucket(bucket).delete(d -> d.objects(all).quiet(true)));
        must(out.errors().isEmpty(), out.errors());
        s3.deleteBucket(b -> b.bucket(bucket));
    }

    static void retries(String bucket) throws Exception {
        try (S3Client flaky = S3Client.builder().endpointOverride(URI.create(System.getenv("FLAKY_ENDPOINT"))).build()) {
            for (int i = 0; i < 30; i++) {
                byte[] data = bytes(i * 5000);
                flaky.putObject(b -> b.bucket(bucket).key("try"), RequestBody.fromBytes(data));
                must(Arrays.equals(flaky.getObjectAsBytes(b -> b.bucket(bucket).key("try")).asByteArray(), data), "other bytes");
            }
        }
    }

    public static void main(String[] args) {
        Map<String, Step> steps = new LinkedHashMap<>();
        steps.put("tree", Check::tree);
        steps.put("checksums", Check::checksums);
        steps.put("multipart", Check::multipart);
        steps.put("presigned", Check::presigned);
        steps.put("conditional", Check::conditional);
        steps.put("versions", Check::versions);
        steps.put("retries", Check::retries);
        int failed = 0;
        for (var step : steps.entrySet()) {
            long began = System.nanoTime();
            try {
                s3.createBucket(b -> b.bucket("java-" + step.getKey()));
                step.getValue().run("java-" + step.getKey());
                System.out.printf("ok %s %.1f s%n", step.getKey(), (System.nanoTime() - began) / 1e9);
            } catch (Throwable e) {
                failed++;
                System.out.println("FAILED " + step.getKey());
                e.printStackTrace(System.out);
            }
        }
        System.out.println(failed + " failed");
        System.exit(failed > 0 ? 1 : 0);
    }
}
