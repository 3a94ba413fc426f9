package transport

import (
	"context"
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/gologshim"
)

var libraryLogOnce sync.Once

// takeLibraryLog sends what libp2p logs to log, at level debug: it calls an ordinary shutdown or a
// port scan an error, and nobody has to act on those. libp2p has one log per process, so the first
// host's is taken.
func takeLibraryLog(log *slog.Logger) {
	libraryLogOnce.Do(func() { gologshim.SetDefaultHandler(debugHandler{log.Handler()}) })
}

// debugHandler passes records on at level debug.
type debugHandler struct{ next slog.Handler }

func (h debugHandler) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.next.Enabled(ctx, slog.LevelDebug)
}

func (h debugHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.next.Handle(ctx, r)
}

func (h debugHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugHandler{h.next.WithAttrs(attrs)}
}

func (h debugHandler) WithGroup(name string) slog.Handler {
	return debugHandler{h.next.WithGroup(name)}
}
