package admin

import (
	"context"
	"net"
	"net/http"
	"time"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

// backup answers POST /admin/v1/backup with a node's secrets: only to the root principal, only from a
// node's own process, and never over a network in the clear.
func (h *Handler) backup(w http.ResponseWriter, r *http.Request) {
	secret := r.TLS != nil || fromLoopback(r.RemoteAddr)
	answer(h, get(func(ctx context.Context) (api.Backup, error) {
		if !secret {
			return api.Backup{}, s3err.Newf(s3err.AccessDenied, "A backup holds secrets: ask from the node's own machine, or over TLS.")
		}
		b, ok := h.cfg.Admin.(api.Backups)
		if !ok {
			return api.Backup{}, s3err.Newf(s3err.NotImplemented, "A gateway has nothing to back up: ask a node.")
		}
		return b.Backup(ctx)
	}))(w, r)
}

// backupMetadata answers GET /admin/v1/backup/metadata with a stream. What breaks it off breaks the connection, so that half of it is never
// taken for the whole.
func (h *Handler) backupMetadata(w http.ResponseWriter, r *http.Request) {
	refuse := func(err error) {
		answer(h, func(context.Context, []byte) (struct{}, error) { return struct{}{}, err })(w, r)
	}
	_, principal, err := h.authenticate(w, r)
	if err != nil {
		refuse(err)
		return
	}
	b, ok := h.cfg.Admin.(api.MetadataBackups)
	if !ok {
		refuse(s3err.Newf(s3err.NotImplemented, "A gateway has no metadata to back up: ask a node."))
		return
	}
	body := &streamed{w: w}
	err = b.BackupMetadata(r.Context(), body)
	log := h.cfg.Logger.With("method", r.Method, "path", r.URL.Path, "principal", principal, "remote_addr", r.RemoteAddr, "bytes", body.n)
	switch {
	case err == nil:
		log.Info("admin request")
	case body.n == 0:
		refuse(err)
	default:
		log.Error("a backup of the metadata broke off", "err", err)
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
