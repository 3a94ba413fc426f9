package export

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"shoal/gateway/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: this release sends format 1 as it is kept here.
func TestGolden(t *testing.T) {
	record := func(seq uint64, text string) audit.Exported {
		return audit.Exported{Seq: seq, ID: strings.Repeat("0a", 31) + "0" + string(rune('0'+seq)), Event: "request",
			Time: time.Date(2026, 3, 1, 3, 5, 6, 7000, time.UTC), Text: []byte(text)}
	}
	b := &audit.Batch{Writer: "12D3KooWTest", Log: audit.AccessLog, Chain: strings.Repeat("0123456789abcdef", 2), Records: []audit.Exported{
		record(1, `{"format":1,"seq":1,"key":"é\u2028\"\\"}`), record(2, `{"format":1,"seq":2}`),
	}}
	s := syslog{host: "gateway.example.org"}
	var messages []byte
	for i := range b.Records {
		messages = append(s.appendMessage(messages, b, &b.Records[i]), '\n')
	}
	messages = regexp.MustCompile(` shoal \d+ `).ReplaceAll(messages, []byte(" shoal 42 "))
	for name, text := range map[string][]byte{
		"webhook.ndjson": (&webhook{}).body(b), "webhook.json": (&webhook{array: true}).body(b), "syslog.txt": messages,
	} {
		path := filepath.Join("testdata", "v1", name)
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
			t.Errorf("%s is sent as\n%s", name, text)
		}
	}
}
