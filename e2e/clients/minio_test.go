package clients

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// expected is why one of minio-go's own tests does not pass. What a failure says must hold
// shows, so that a test is not excused for another reason than the one named.
type expected struct{ test, shows, why string }

var expectedFailures = []expected{
	{"", "Please use AWS4-HMAC-SHA256", "signatures before version 4, which AWS takes only for buckets made before June 2020"},
	{"testMakeBucketError", "the region 'eu-central-1' is wrong", "a store is one region"},
	{"testMakeBucketRegions", "the region 'eu-central-1' is wrong", "a store is one region"},
	{"testListMultipartUpload", "ListMultipartUploads-", "wants a key marker alone to list uploads of that key, and no owner; AWS documents otherwise"},
	{"testGetObjectAttributesErrorCases", "expected NoSuchVersion but got InvalidArgument", "an ID that is none of the store's is malformed, as in AWS"},
	{"testPresignedPostPolicyWrongFile", "Policy Condition failed", "compares the document's bytes: quotes in text may be escaped"},
	{"testGetObjectACLContext", "The bucket does not allow ACLs", "new buckets have no ACLs, as in AWS"},
	{"testListUnsorted", "user metadata", "metadata in listings is an extension of MinIO"},
	{"testGetObjectS3Zip", "s3zip", "an extension of MinIO"},
	{"testBucketNotification", "Skipped", "the test skips itself without a target of notifications"},
	{"testObjectAnnotations", "PutObjectAnnotation", "annotations are 501"},
	{"testPutObjectPreconditionOnNonExistent", "PutObject", "If-None-Match of a PUT is * or 501, as in AWS"},
	{"testCors", "SetBucketPolicy", "bucket policies are 501"},
	{"testFunctional", "SetBucketPolicy", "bucket policies are 501"},
	{"testPutObjectWithChecksums", "PutObject", laterChecksums},
	{"testPutObjectWithTrailingChecksums", "PutObject", laterChecksums},
	{"testPutMultipartObjectWithChecksums", "PutObject", laterChecksums},
	{"testGetObjectAttributes", "PutObject", laterChecksums},
	{"testPutObjectWithAutoChecksums", "PutObject", laterChecksums},
	{"testPutObjectWithAutomaticChecksums", "PutObject", laterChecksums},
	{"testListObjectsChecksums", "PutObject", laterChecksums},
	{"testGetObjectAttributesSSECEncryption", "PutObject", laterChecksums},
	{"testSSECEncryptedToSSES3CopyObjectPart", "CopyObjectPart", partHeader},
	{"testUnencryptedToSSES3CopyObjectPart", "CopyObjectPart", partHeader},
	{"testSSES3EncryptedToSSES3CopyObjectPart", "CopyObjectPart", partHeader},
}

const (
	laterChecksums = "MD5, SHA512 and XXHASH as checksums are 501"
	partHeader     = "x-amz-server-side-encryption is no header of UploadPartCopy"
)

// report is a line that a test of minio-go prints.
type report struct{ Name, Status, Function, Alert, Message, Error string }

func (r report) expected() (why string, ok bool) {
	said := r.Alert + " " + r.Message + " " + r.Error
	for _, e := range expectedFailures {
		if (e.test == "" || r.Name == "minio-go: "+e.test) && strings.Contains(said, e.shows) {
			return e.why, true
		}
	}
	return "", false
}

// TestMinio runs the tests that minio-go brings along, over TLS as its authors do.
func TestMinio(t *testing.T) {
	t.Parallel()
	w := openTLS(t, "go")
	source, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/minio/minio-go/v7").Output()
	w.must(err)
	program := w.path("functional_tests")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, filepath.Join(strings.TrimSpace(string(source)), "functional_tests.go"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build minio-go's tests: %v\n%s", err, out)
	}
	id, secret := w.store.Credentials()
	w.set("SERVER_ENDPOINT="+strings.TrimPrefix(w.store.Endpoint(), "http://"), "ACCESS_KEY="+id, "SECRET_KEY="+secret,
		"ENABLE_HTTPS=1", "SKIP_CERT_VALIDATION=1", "MINT_MODE=full", "RUN_ON_FAIL=1")
	w.judge(w.run(program))
}

// judge fails the test for every failure in minio-go's reports that is not expected.
func (w *workshop) judge(out string) {
	w.Helper()
	const passedMin = 60
	passed, excused := 0, make(map[string]bool)
	for _, line := range strings.Split(out, "\n") {
		var r report
		if json.Unmarshal([]byte(line), &r) != nil || r.Status == "" {
			continue
		}
		why, ok := r.expected()
		switch {
		case r.Status == "PASS":
			passed++
		case ok:
			excused[fmt.Sprintf("%s: %s", r.Name, why)] = true
		default:
			w.Errorf("%s %s: %s %s %s %s", r.Status, r.Name, r.Function, r.Alert, r.Message, r.Error)
		}
	}
	for what := range excused {
		w.Logf("not passed: %s", what)
	}
	if w.Logf("%d passed", passed); passed < passedMin {
		w.Errorf("only %d tests passed, want %d", passed, passedMin)
	}
}
