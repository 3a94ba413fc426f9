package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecoverUsage(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "give --group N or --all", nil},
		{exitUsage, "give --group N or --all", []string{"--all", "--group", "3"}},
		{exitFailure, "the data directory", []string{"--dry-run", "--data", filepath.Join(dir, "none")}},
		{exitFailure, "is no data directory", []string{"--all", "--yes", "--data", dir}},
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), environment{out: &out, err: &errs}, append([]string{"admin", "recover"}, tt.args...))
		if code != tt.code || !strings.Contains(errs.String(), tt.says) {
			t.Errorf("%q: exit %d: %s%s", tt.args, code, out.String(), errs.String())
		}
	}
}
