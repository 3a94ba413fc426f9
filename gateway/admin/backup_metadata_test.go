package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/admin"
)

// archivist is a node that streams metadata, and may break off.
type archivist struct {
	keeper
	text  string
	broke error
}

func (a *archivist) BackupMetadata(_ context.Context, w io.Writer) error {
	if a.text != "" {
		if _, err := io.WriteString(w, a.text); err != nil {
			return err
		}
	}
	return a.broke
}

func TestBackupMetadata(t *testing.T) {
	for _, tt := range []struct {
		name   string
		node   *archivist
		id     string
		status int
		says   string
	}{
		{"whole", &archivist{text: "SHMD and groups"}, "", 200, "SHMD and groups"},
		{"refused", &archivist{broke: errors.New("no majority")}, "", 500, "InternalError"},
		{"without signature", &archivist{text: "SHMD"}, "-", 403, "AccessDenied"},
		{"by a guest", &archivist{text: "SHMD"}, "guest-key", 403, "AccessDenied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			w := request{method: "GET", target: "/admin/v1/backup/metadata", id: tt.id}.do(t, archive(tt.node, &log))
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if tt.status != 200 && strings.Contains(w.Body.String(), "SHMD") {
				t.Error("metadata are given away")
			}
		})
	}
}

// What breaks off in the middle must not look like an end.
func TestBackupMetadataBreaksOff(t *testing.T) {
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("the connection is not broken off: %v", p)
		}
	}()
	var log strings.Builder
	request{method: "GET", target: "/admin/v1/backup/metadata"}.do(t, archive(&archivist{text: "SHMD", broke: errors.New("gone")}, &log))
}

func TestBackupMetadataOfGateway(t *testing.T) {
	var log strings.Builder
	k := new(keeper)
	w := request{method: "GET", target: "/admin/v1/backup/metadata"}.do(t, handler(&k.node, &log, false))
	if w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "ask a node") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func archive(a *archivist, log io.Writer) http.Handler {
	return admin.New(admin.Config{
		Credentials: a, Caller: caller, Region: "us-east-1", Health: a, Admin: a, Gatherer: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}
