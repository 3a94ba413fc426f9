package audit_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestLongDocument: of a text that is too long the record has the beginning, the length and the hash, in one line
// that is shorter than a line may be.
func TestLongDocument(t *testing.T) {
	line := audit.Line(&audit.Act{Before: strings.Repeat("\x01", 1<<20), After: strings.Repeat("\x02", 1<<20), Target: strings.Repeat("\x03", 1<<20)})
	if len(line) >= 1<<20 || !bytes.Contains(line, []byte(`"before_bytes":1048576,"before_hash":"`)) || !json.Valid(line) {
		t.Errorf("%d bytes", len(line))
	}
}

// intended is an act of which the intent is recorded.
func intended(id, target string) audit.Act {
	return audit.Act{
		Time: someTime, RemoteAddr: "192.0.2.1:5", User: "user:alice", AccessKeyID: "ID", RequestID: "R" + id, Kind: audit.OnConfiguration, Operation: "PUT /admin/v1/buckets/{bucket}/quota",
		Target: target, VersionID: "v", Before: "{}", Bypass: true, Intent: id,
	}
}

// outcome is what came of it.
func outcome(id, target string) *audit.Act {
	a := intended(id, target)
	a.After = `{"bytes":7}`
	return &a
}

// TestGolden: this release writes the lines of format 1 as they are kept here, and reads those.
func TestGolden(t *testing.T) {
	lines := audit.Lines(
		audit.FileNote(someTime, "access", testWriter, strings.Repeat("0123456789abcdef", 2), "v1"),
		audit.StartNote(someTime, "v1", "nothing"),
		&audit.Record{
			Time: someTime, RemoteAddr: "192.0.2.1:5", User: "user:alice", AccessKeyID: "ID", Method: "GET", Bucket: "b", Key: "ä\n\"k", VersionID: "v",
			Operation: "GetObject", Status: 206, BytesSent: 5, BytesReceived: 6, UserAgent: "ua/1", Duration: 1234567 * time.Nanosecond,
			RequestID: "R", Decision: audit.Allowed, Reason: "s3:GetObject allowed by identity_policy readonly, statement 1",
		},
		&audit.Record{Time: someTime, Method: "GET", Operation: "Unrouted", Status: 400, RequestID: "S", ErrorCode: "InvalidURI", Aborted: true},
		&audit.Cut{Time: someTime, RequestID: "R", BytesSent: 3},
		&audit.Act{
			Time: someTime, RemoteAddr: "192.0.2.1:5", User: "root", AccessKeyID: "ID", RequestID: "R", Kind: audit.OnPermission, Operation: "PutBucketPolicy",
			Target: "b", VersionID: "v", After: `{"Version":"2012-10-17"}`, Bypass: true, Failed: "InternalError",
		},
		&audit.Record{
			Time: someTime, User: "user:bob", Method: "POST", Operation: "POST /admin/v1/keys/change", Target: "ID2", Status: 403, RequestID: "T",
			ErrorCode: "AccessDenied", Decision: audit.Denied, Reason: "admin:RevokeAccessKey denied by nothing_allows",
		},
		&audit.Intent{Act: intended("1", "b"), Request: `{"bytes":7}`},
		outcome("1", "b"),
		&audit.Intent{Act: intended("2", "c")},
		&audit.Refusal{Time: someTime, Intent: "2", ErrorCode: "NoSuchBucket"},
		&audit.Intent{Act: intended("3", "d")},
		audit.ShedNote(someTime, 7, "2026-03-01T03:05:06.000000007Z"),
	)
	point := audit.PointOf(lines, testWriter, "access", strings.Repeat("0123456789abcdef", 2), someTime, testKey(testWriter))
	dir := filepath.Join("testdata", "v1")
	for name, text := range map[string][]byte{"access.jsonl": lines, filepath.Join(audit.CheckpointDir, testWriter+".access.jsonl"): append(point.Text(), '\n')} {
		path := filepath.Join(dir, name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(golden, text) {
			t.Errorf("%s is written as\n%s", name, text)
		}
	}
	r := verify(t, verifyOptions(dir))
	if n := r.Chains[0].Open; n != 1 {
		t.Errorf("%d acts are open", n)
	}
	if got := fmt.Sprintf("%v %+v", r.Whole(), r.Chains); !strings.HasPrefix(got, "true [{Writer:peer Log:access Chain:0123456789abcdef0123456789abcdef Files:1 Records:13 First:1 Last:13 Pruned:0 Checkpoints:1 Attested:13 ") {
		t.Errorf("read as %s", got)
	}
}
