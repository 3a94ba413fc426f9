package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Config says where the log goes.
type Config struct {
	// Dir is the directory of the log; it is made when missing. Required.
	Dir string
	// FileBytesMax is the size at which a file is rotated. Default 64 MiB.
	FileBytesMax int64
	// FilesMax is the number of rotated files kept beside the current one. Default 16.
	FilesMax int
	// QueueBytesMax bounds lines that wait for the disk. Default 4 MiB.
	QueueBytesMax int
	// Logger is told of a disk that does not take the log. Default: nobody.
	Logger *slog.Logger
	// Open opens the file to append to. Default: os.OpenFile with mode 0600.
	Open func(path string) (File, error)
}

// File is what the log asks of a file.
type File interface {
	Write(p []byte) (int, error)
	Sync() error
	Close() error
	Stat() (os.FileInfo, error)
}

const (
	fileName        = "access.log"
	defaultFileMax  = 64 << 20
	defaultFilesMax = 16
	defaultQueueMax = 4 << 20
	// retryPause is the pause before a failed write is tried again.
	retryPause = time.Second
	// batchPause lets lines gather before they are written: the log is for people and
	// a write for each line would cost each request a system call.
	batchPause = 10 * time.Millisecond
)

// Log is an access log. Append may be called from any number of goroutines.
type Log struct {
	cfg  Config
	file *segment
	wake chan struct{} // holds a token while there are lines to write

	mu      sync.Mutex
	room    sync.Cond // waits for space in lines; on mu
	lines   []byte    // guarded by mu
	spare   []byte    // the buffer not in use; guarded by mu
	closed  bool      // guarded by mu
	waiting int       // Appends that wait for room; guarded by mu
}

// Open opens the log's file. Nothing is written before Run.
func Open(cfg Config) (*Log, error) {
	if cfg.FileBytesMax <= 0 {
		cfg.FileBytesMax = defaultFileMax
	}
	if cfg.FilesMax <= 0 {
		cfg.FilesMax = defaultFilesMax
	}
	if cfg.QueueBytesMax <= 0 {
		cfg.QueueBytesMax = defaultQueueMax
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Open == nil {
		cfg.Open = openFile
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("access log directory: %w", err)
	}
	l := &Log{cfg: cfg, wake: make(chan struct{}, 1)}
	l.room.L = &l.mu
	file, err := openSegment(cfg.Open, filepath.Join(cfg.Dir, fileName))
	if err != nil {
		return nil, err
	}
	l.file = file
	return l, nil
}

// Append adds a record. It waits while the queue is full. After Run has returned,
// records are no longer taken and Append returns at once.
func (l *Log) Append(r *Record) {
	var stack [1024]byte
	line := r.AppendJSON(stack[:0])
	l.mu.Lock()
	for len(l.lines)+len(line) > l.cfg.QueueBytesMax && len(l.lines) > 0 && !l.closed {
		l.waiting++
		l.room.Wait()
		l.waiting--
	}
	if l.closed {
		l.mu.Unlock()
		return
	}
	first := len(l.lines) == 0
	l.lines = append(l.lines, line...)
	half := len(l.lines) > l.cfg.QueueBytesMax/2
	l.mu.Unlock()
	if first || half {
		select {
		case l.wake <- struct{}{}:
		default: // the writer knows already
		}
	}
}

// Run writes lines until ctx ends, then what is left, and closes the file. The caller
// ends ctx only after the last Append has returned, or accepts that later ones are
// lost. The error says how many bytes could not be written.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return l.finish()
		case <-l.wake:
		}
		gather(ctx, l.wake)
		l.flush(ctx)
	}
}

// Close closes a log whose Run was never called.
func (l *Log) Close() error { return l.finish() }

// gather waits a moment, or until the queue is half full.
func gather(ctx context.Context, wake <-chan struct{}) {
	t := time.NewTimer(batchPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// flush writes what waits, and tries again for as long as the disk refuses.
func (l *Log) flush(ctx context.Context) {
	batch := l.take()
	said := false
	for len(batch) > 0 {
		n, err := l.write(batch)
		batch = batch[n:]
		if err == nil {
			break
		}
		if !said {
			said = true
			l.cfg.Logger.Error("access log is not written; requests will wait", "err", err)
		}
		t := time.NewTimer(retryPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			l.putBack(batch)
			return
		}
	}
	if said {
		l.cfg.Logger.Info("access log is written again")
	}
	l.release(batch)
}

// take gives all waiting lines; release or putBack must follow.
func (l *Log) take() []byte {
	l.mu.Lock()
	batch := l.lines
	l.lines, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	l.room.Broadcast()
	return batch
}

// release gives a written buffer back for reuse.
func (l *Log) release(batch []byte) {
	l.mu.Lock()
	if l.spare == nil {
		l.spare = batch[:0]
	}
	l.mu.Unlock()
}

// putBack returns lines that could not be written to the head of the queue.
func (l *Log) putBack(batch []byte) {
	l.mu.Lock()
	l.lines = append(append([]byte(nil), batch...), l.lines...)
	l.mu.Unlock()
}

// write appends lines, in a new file when the old one is full.
func (l *Log) write(batch []byte) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if l.file.size+int64(len(batch)) > l.cfg.FileBytesMax && l.file.size > 0 {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	return l.file.write(batch)
}

// finish writes the last lines, once, and lets everybody go.
func (l *Log) finish() error {
	l.mu.Lock()
	l.closed = true
	batch := l.lines
	l.lines = nil
	l.mu.Unlock()
	l.room.Broadcast()
	n, err := l.write(batch)
	if err == nil {
		err = l.file.sync()
	}
	if closeErr := l.file.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("access log: %d bytes are not written: %w", len(batch)-n, err)
	}
	return nil
}
