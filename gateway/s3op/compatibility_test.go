package s3op_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shoal/gateway/s3op"
)

var update = flag.Bool("update", false, "rewrite docs/s3-compatibility.md from the table of operations")

const preface = `# S3 compatibility

This page is made from the table of operations in ` + "`gateway/s3op`" + ` (` + "`go test ./gateway/s3op -run Compatibility -update`" + `);
a test fails when the two differ. It names every operation of the S3 model.

- **supported**: does what AWS documents for general purpose buckets, with what the remark takes away.
- **501**: answered with ` + "`NotImplemented`" + `. Nothing is accepted and ignored: a header ` + "`x-amz-*`" + ` that an operation does not take is
  answered with 501 too, and so is a query parameter without a value that no operation knows. Parameters whose names begin with
  ` + "`x-`" + ` and not ` + "`x-amz-`" + ` are for logs, as in AWS. Reads ignore other unknown parameters that have a value.

What holds for all operations:

- The owner of a bucket is the principal who made it. All are in the account ` + "`000000000000`" + `, with which ` + "`x-amz-expected-bucket-owner`" + ` is compared.
- ` + "`x-amz-request-payer`" + ` is harmless: no bucket is requester-pays.
- Every object is sealed with AES-256-GCM; answers say ` + "`x-amz-server-side-encryption: AES256`" + `, or what SSE-C says where the client brings a key.
- An object without a checksum of the client's own gets a CRC64NVME over the whole object, as in AWS.
- Headers that a presigner moved into the query string (` + "`x-amz-acl=…`" + `) mean what the headers mean,
  but for checksums: one that is not in a header is ignored, as in AWS.
- Writes to a store, or a bucket, that an operator has made read-only get 503 ` + "`ReadOnly`" + ` with his reason and Retry-After; AWS has no such state. SDKs repeat
  the request as often as any that got 503.
- ` + "`s3:TlsVersion`" + ` is the version of the connection to the gateway; it is absent where the client came by plain HTTP, to the gateway or to a trusted proxy.
- One range is served; several are answered with the whole object, as in AWS.
- ` + "`DisplayName`" + ` is not sent: AWS stopped sending it in November 2025.

Clients that are run against the program with their default settings (` + "`make e2e-clients`" + `, ` + "`make e2e`" + `);
those with a star write and read a tree of 2,000 odd files, which is compared byte for byte:

- SDKs: boto3 1.44.8 \*, AWS SDK for JavaScript 3.1175.0 \*, for Java 2.59.1 \*, for Go v2, minio-go 7.4.1 (its own functional tests too);
- tools: Terraform 1.11.4 (state with ` + "`use_lockfile`" + `), and of Debian 12 rclone 1.60.1 \* (sync, check, mount), restic 0.14.0 \*,
  duplicity 0.8.22 \*, s3fs 1.90 \*, aws cli, s3cmd, curl.

`

func TestCompatibilityPage(t *testing.T) {
	var page bytes.Buffer
	page.WriteString(preface)
	var built, all int
	var rows bytes.Buffer
	for op := range s3op.Operations {
		all++
		state := "501"
		if op.Implemented() {
			built++
			state = "supported"
		}
		fmt.Fprintf(&rows, "| [%s](https://docs.aws.amazon.com/AmazonS3/latest/API/%s) | %s | %s |\n", op.Name, docPage(op.Name), state, op.Note)
	}
	fmt.Fprintf(&page, "%d of %d operations are supported.\n\n| operation | | remark |\n|---|---|---|\n%s", built, all, rows.String())
	path := filepath.Join("..", "..", "docs", "s3-compatibility.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, page.Bytes()) {
		t.Error("docs/s3-compatibility.md differs from the table of operations; run the test with -update and read the change")
	}
}

func docPage(name string) string {
	if name == "PostObject" {
		return "RESTObjectPOST.html"
	}
	return "API_" + name + ".html"
}

// moduleDir is where the go command keeps a module's source.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("the source of %s is not here: %v", module, err)
	}
	return dir
}
