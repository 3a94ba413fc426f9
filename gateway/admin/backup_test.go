package admin_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"shoal/gateway/admin"
	"shoal/node/api"
)

// keeper is a node that has something to back up.
type keeper struct{ node }

func (k *keeper) Backup(context.Context) (api.Backup, error) {
	return api.Backup{Format: 1, PeerID: "p", Files: []api.BackupFile{{Name: "root.key", Data: []byte("key")}}}, k.fail
}

func TestBackup(t *testing.T) {
	const whole = `"files":[{"name":"root.key","data":"a2V5"}]`
	for _, tt := range []struct {
		name   string
		keeps  bool
		from   string
		tls    bool
		id     string
		status int
		says   string
	}{
		{"from this machine", true, "127.0.0.1:9", false, "", 200, whole},
		{"from this machine, IPv6", true, "[::1]:9", false, "", 200, whole},
		{"over TLS", true, "192.0.2.1:9", true, "", 200, whole},
		{"in the clear", true, "192.0.2.1:9", false, "", 403, "over TLS"},
		{"from nowhere", true, "", false, "", 403, "over TLS"},
		{"without signature", true, "127.0.0.1:9", false, "-", 403, "AccessDenied"},
		{"by a guest", true, "127.0.0.1:9", false, "guest-key", 403, "AccessDenied"},
		{"of a gateway", false, "127.0.0.1:9", false, "", 501, "ask a node"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			k := new(keeper)
			h := handler(&k.node, &log, false)
			if tt.keeps {
				h = handlerOf(k, &log)
			}
			from := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = tt.from
				if tt.tls {
					r.TLS = new(tls.ConnectionState)
				}
				h.ServeHTTP(w, r)
			})
			w := request{method: "POST", target: "/admin/v1/backup", id: tt.id}.do(t, from)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if tt.status != 200 && strings.Contains(w.Body.String(), "a2V5") || strings.Contains(log.String(), "a2V5") {
				t.Error("the key shows")
			}
		})
	}
}

func handlerOf(k *keeper, log io.Writer) http.Handler {
	return admin.New(admin.Config{
		Credentials: k, Caller: caller, Region: "us-east-1", Health: k, Admin: k, Gatherer: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}
