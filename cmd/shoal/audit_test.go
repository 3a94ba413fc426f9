package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/gateway/audit"
)

func TestAuditVerify(t *testing.T) {
	data := t.TempDir()
	dir := logDir(data)
	l, err := audit.Open(audit.Config{Dir: dir, Name: audit.AccessLog, Writer: "12D3KooWNobody"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(&audit.Record{RequestID: "R"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		code := execute(t.Context(), environment{out: &out, err: &errs}, append([]string{"audit", "verify"}, args...))
		if code != want {
			t.Errorf("%q: exit %d\n%s%s", args, code, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	if got := run(exitOK, "--data", data); !strings.Contains(got, "1 to 4 in 1 files") || !strings.Contains(got, "would not be noticed") {
		t.Errorf("prints %s", got)
	}
	if got := run(exitOK, "--json", dir); !strings.Contains(got, `"records": 4`) {
		t.Errorf("prints %s", got)
	}
	if got := run(exitFailure, dir, "--writer", "12D3KooWOther"); !strings.Contains(got, "there is no log of 12D3KooWOther") {
		t.Errorf("prints %s", got)
	}
	path := filepath.Join(dir, "access.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"R"`, `"S"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(exitFailure, dir); !strings.Contains(got, "changed: record 3 is not the one that record 4 follows on") || !strings.Contains(got, "access.jsonl:4") {
		t.Errorf("prints %s", got)
	}
	if got := run(exitFailure, filepath.Join(data, "nowhere")); !strings.Contains(got, "nowhere") {
		t.Errorf("prints %s", got)
	}
}
