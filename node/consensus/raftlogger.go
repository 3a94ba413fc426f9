package consensus

import (
	"fmt"
	"log/slog"
)

// raftLogger turns the Raft core's own log lines into debug records, and its panics into Go's. Lines nobody reads are not formatted.
type raftLogger struct {
	l       *slog.Logger
	group   GroupID
	replica ReplicaID
}

func (c *core) raftLogger(g *group) *raftLogger {
	return &raftLogger{l: c.cfg.Logger, group: g.id, replica: g.self}
}

func (r *raftLogger) log(level slog.Level, text func() string) {
	if r.l.Enabled(noContext{}, level) {
		r.l.Log(noContext{}, level, "raft", "group", r.group, "replica", r.replica, "text", text())
	}
}

func (r *raftLogger) plain(level slog.Level, v []any) {
	r.log(level, func() string { return fmt.Sprint(v...) })
}

func (r *raftLogger) format(level slog.Level, f string, v []any) {
	r.log(level, func() string { return fmt.Sprintf(f, v...) })
}

func (r *raftLogger) Debug(v ...any)              { r.plain(slog.LevelDebug-1, v) }
func (r *raftLogger) Debugf(f string, v ...any)   { r.format(slog.LevelDebug-1, f, v) }
func (r *raftLogger) Info(v ...any)               { r.plain(slog.LevelDebug, v) }
func (r *raftLogger) Infof(f string, v ...any)    { r.format(slog.LevelDebug, f, v) }
func (r *raftLogger) Warning(v ...any)            { r.plain(slog.LevelDebug, v) }
func (r *raftLogger) Warningf(f string, v ...any) { r.format(slog.LevelDebug, f, v) }
func (r *raftLogger) Error(v ...any)              { r.plain(slog.LevelWarn, v) }
func (r *raftLogger) Errorf(f string, v ...any)   { r.format(slog.LevelWarn, f, v) }
func (r *raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (r *raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (r *raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (r *raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
