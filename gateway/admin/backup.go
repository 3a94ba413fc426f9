package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"reflect"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// backupRoutes hold what nobody but root may have: the root key, and all metadata.
func backupRoutes() []route {
	return []route{
		acts(question(http.MethodPost, "/admin/v1/backup", "A node's keys, over loopback or TLS alone", (*Handler).backup, "admin:Backup").byRoot(), audit.OnKey, lookBackup),
		acts(route{
			method: http.MethodGet, path: "/admin/v1/backup/metadata", summary: "All metadata of the store, sealed as it is kept",
			actions: []string{"admin:Backup"}, root: true, gives: reflect.TypeFor[[]byte](), stream: (*Handler).backupMetadata,
		}, audit.OnKey, lookBackup),
	}
}

// backup answers with a node's secrets: only from a node's own process, and never over a network in the clear.
func (h *Handler) backup(ctx context.Context, c *call) (api.Backup, error) {
	if c.http.TLS == nil && !fromLoopback(c.http.RemoteAddr) {
		return api.Backup{}, s3err.Newf(s3err.AccessDenied, "A backup holds secrets: ask from the node's own machine, or over TLS.")
	}
	b, ok := h.cfg.Admin.(api.Backups)
	if !ok {
		return api.Backup{}, s3err.Newf(s3err.NotImplemented, "A gateway has nothing to back up: ask a node.")
	}
	return b.Backup(ctx)
}

func (h *Handler) backupMetadata(ctx context.Context, _ *call, w io.Writer) error {
	b, ok := h.cfg.Admin.(api.MetadataBackups)
	if !ok {
		return s3err.Newf(s3err.NotImplemented, "A gateway has no metadata to back up: ask a node.")
	}
	return b.BackupMetadata(ctx, w)
}

func (h *Handler) checkpoints(_ context.Context, _ *call, w io.Writer) error {
	if h.cfg.Keeper == nil {
		return s3err.Newf(s3err.NotImplemented, "This process keeps no checkpoints.")
	}
	_, err := h.cfg.Keeper.WriteTo(w)
	return err
}

// serveStream answers with a stream. What breaks it off breaks the connection, so that half of it is never
// taken for the whole.
func (h *Handler) serveStream(w http.ResponseWriter, c *call) {
	body := &streamed{w: w}
	err := c.stream(h, c.http.Context(), c, body)
	switch {
	case err == nil:
		c.log().Info("admin request", "bytes", body.n)
	case body.n == 0:
		h.refuse(w, c, err)
	default:
		c.log().Error("a stream broke off", "bytes", body.n, "err", err)
		panic(http.ErrAbortHandler)
	}
}

// streamed is a body whose client may take its time, but not stand still.
type streamed struct {
	w http.ResponseWriter
	n int64
}

// Write implements io.Writer.
func (s *streamed) Write(b []byte) (int, error) {
	if s.n == 0 {
		s.w.Header().Set("Content-Type", "application/octet-stream")
		s.w.Header().Set("Cache-Control", "no-store")
	}
	http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := s.w.Write(b)
	s.n += int64(n)
	return n, err
}

func fromLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}
