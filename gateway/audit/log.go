package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Full says what becomes of requests while their records cannot be written.
type Full uint8

const (
	// Block lets them wait with their answers until the disk takes records again.
	Block Full = iota
	// Shed answers them without a record. How many there were is recorded afterwards.
	Shed
)

// Config says where a log goes, and for how long it is kept. A zero value means the default.
type Config struct {
	// Dir is the directory of the log; it is made when missing. Required.
	Dir string
	// Name is what the log and its files are called: AccessLog or ActLog. Required.
	Name string
	// Writer is the peer ID of the process that writes. Required.
	Writer string
	// Release is told in the log.
	Release string

	// FileBytesMax is the size at which a file is closed and another begun. Default 64 MiB.
	FileBytesMax int64
	// FileAgeMax is the age at which it is. Default 24 h.
	FileAgeMax time.Duration
	// KeepBytes bounds the closed files; the oldest go first. Default 1 GiB.
	KeepBytes int64
	// KeepAge is for how long closed files are kept. Default: as long as there is room for them.
	KeepAge time.Duration

	// Full says what happens while the disk takes no records. Default Block.
	Full Full
	// Sync has every record on stable storage before Append returns. Without it a record is safe from
	// then on against the end of the process, and against that of the machine from the next checkpoint on.
	Sync bool

	// Sign signs a checkpoint with the writer's identity. Nil makes none.
	Sign func(message []byte) []byte
	// CheckpointEvery is the time between two checkpoints while records are written. Default 30 s.
	CheckpointEvery time.Duration
	// OnCheckpoint is given each checkpoint, signed, once all its records are on stable storage. Nil
	// makes none.
	OnCheckpoint func(*Checkpoint)

	// Targets get every record. What they have not got is kept, whatever KeepBytes and KeepAge say.
	Targets []TargetConfig

	// Logger is told of a disk that does not take the log. Default: nobody.
	Logger *slog.Logger
	// Open opens the file to append to. Default: os.OpenFile.
	Open func(path string) (File, error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Names of logs.
const (
	AccessLog = "access" // a record for every request
	ActLog    = "acts"   // a record for every act on rights, members, configuration, locks and keys
)

// File is what a log asks of a file.
type File interface {
	Write(p []byte) (int, error)
	Sync() error
	Close() error
	Stat() (os.FileInfo, error)
}

const (
	defaultFileBytes  = 64 << 20
	defaultFileAge    = 24 * time.Hour
	defaultKeepBytes  = 1 << 30
	defaultCheckpoint = 30 * time.Second
	// retryPause is the pause before a failed write is tried again.
	retryPause = time.Second
	// pruneEvery is how often the age of closed files is looked at.
	pruneEvery = 10 * time.Minute
)

// ErrClosed says that a record was not taken: the log has ended.
var ErrClosed = errors.New("the log is closed")

// Log is a chain of records in files. Append may be called from any number of goroutines.
type Log struct {
	cfg    Config
	ending chan struct{} // closed when nobody may wait for the disk any more

	mu     sync.Mutex
	next   *batch // records that join the next write; guarded by mu
	closed bool   // guarded by mu

	turn    sync.Mutex // held by who writes; guards what follows
	file    File       // nil until it is opened again after a failure
	size    int64
	born    time.Time // of the file
	records int       // in the file beside its first, since the start
	chain   string
	at      position // of the last record that is written, or whose line has been begun
	rotated bool     // files may have to go
	out     output
	ahead   []*note // to be written before anything else
	lost    shedding

	failing    atomic.Bool   // the last write has failed; written by who writes
	failed     chan struct{} // holds a token when failing has been set
	look       atomic.Bool   // files may go
	queues     []*queue      // not written after Open
	shedTotal  atomic.Int64
	writeTotal atomic.Int64

	intents     string // begins the IDs of intents
	intentCount atomic.Uint64

	refusing     sync.Mutex // guards what follows
	refused      shedding   // requests that were refused, and are not on the record yet
	refusedTotal int64
}

// batch is the records that are written together. Who makes it writes it; others wait for it.
type batch struct {
	bodies []byte
	ends   []int // of each record in bodies
	began  bool  // it is in the output
	done   chan struct{}
	err    error
}

// shedding counts records that are left out, or requests.
type shedding struct {
	records int64
	since   time.Time
}

// Open opens the log and closes off what a crash has left. While the disk takes no records that is not an
// error: they are tried again with the first record.
func Open(cfg Config) (*Log, error) {
	cfg.setDefaults()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	l := &Log{cfg: cfg, ending: make(chan struct{}), failed: make(chan struct{}, 1), rotated: true, intents: newIntentPrefix()}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("%s log: %w", cfg.Name, err)
	}
	for _, t := range cfg.Targets {
		q, err := l.openQueue(t)
		if err != nil {
			return nil, fmt.Errorf("%s log: %w", cfg.Name, err)
		}
		l.queues = append(l.queues, q)
	}
	if err := l.try(&batch{}); err != nil {
		l.trouble(err)
	}
	return l, nil
}

func (c *Config) setDefaults() {
	number := func(v *int64, usual int64) {
		if *v <= 0 {
			*v = usual
		}
	}
	number(&c.FileBytesMax, defaultFileBytes)
	number(&c.KeepBytes, defaultKeepBytes)
	number((*int64)(&c.FileAgeMax), int64(defaultFileAge))
	number((*int64)(&c.CheckpointEvery), int64(defaultCheckpoint))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Open == nil {
		c.Open = openFile
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Append adds a record and returns once it is written: it survives the end of this process, and with
// Config.Sync that of the machine. While the disk takes none it waits, or with Shed returns without. ErrClosed
// when the log has ended meanwhile.
func (l *Log) Append(e Entry) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	b, first := l.next, false
	if b == nil {
		b, first = &batch{}, true
		l.next = b
	} else if b.done == nil {
		b.done = make(chan struct{})
	}
	b.bodies = appendBody(b.bodies, e)
	b.ends = append(b.ends, len(b.bodies))
	l.mu.Unlock()
	if !first {
		<-b.done
		return b.err
	}
	l.turn.Lock()
	l.mu.Lock()
	l.next = nil // nobody joins any more
	l.mu.Unlock()
	b.err = l.commit(b)
	l.turn.Unlock()
	if b.done != nil {
		close(b.done)
	}
	return b.err
}

// commit writes a batch, for as long as that takes.
func (l *Log) commit(b *batch) error {
	for {
		err := l.try(b)
		if err == nil {
			l.recovered()
			return nil
		}
		l.trouble(err)
		if l.cfg.Full == Shed {
			l.shed(b)
			return nil
		}
		t := time.NewTimer(retryPause)
		select {
		case <-t.C:
		case <-l.ending:
			t.Stop()
			return errors.Join(ErrClosed, err)
		}
	}
}

// trouble says once that the disk takes no records.
func (l *Log) trouble(err error) {
	if !l.failing.Swap(true) {
		select {
		case l.failed <- struct{}{}:
		default:
		}
		what := "the log cannot be written; requests wait with their answers"
		if l.cfg.Full == Shed {
			what = "the log cannot be written; requests are answered without a record"
		}
		l.cfg.Logger.Error(what, "log", l.cfg.Name, "err", err)
	}
}

func (l *Log) recovered() {
	if l.failing.Swap(false) {
		l.cfg.Logger.Info("the log is written again", "log", l.cfg.Name)
	}
}

// Stats counts records.
type Stats struct {
	Written int64 // records since the start
	Shed    int64 // records left out since the start
	Refused int64 // requests refused since the start
}

// Stats counts the records so far.
func (l *Log) Stats() Stats {
	l.refusing.Lock()
	defer l.refusing.Unlock()
	return Stats{Written: l.writeTotal.Load(), Shed: l.shedTotal.Load(), Refused: l.refusedTotal}
}

// Refuses says that no more requests are to be taken: with Block, while the disk takes no records, or while more
// waits for a target than may.
func (l *Log) Refuses() bool {
	if l.cfg.Full == Block && l.failing.Load() {
		return true
	}
	for _, q := range l.queues {
		if q.cfg.Full == Block && q.full() {
			return true
		}
	}
	return false
}

// Refused counts a request that was refused without a record of its own. One record tells of all of them, once
// others are written.
func (l *Log) Refused() {
	l.refusing.Lock()
	defer l.refusing.Unlock()
	if l.refused.records == 0 {
		l.refused.since = l.cfg.Now()
	}
	l.refused.records++
	l.refusedTotal++
}

// takeRefused gives the note of what was refused since the last one, nil when nothing was.
func (l *Log) takeRefused() *note {
	l.refusing.Lock()
	defer l.refusing.Unlock()
	if l.refused.records == 0 {
		return nil
	}
	n := &note{kind: eventRefused, control: control{
		Time: l.cfg.Now(), Records: l.refused.records, Since: string(appendTime(nil, l.refused.since)),
	}}
	l.refused = shedding{}
	return n
}

// record puts notes on stable storage.
func (l *Log) record(notes ...*note) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.recordLocked(notes...)
}

// recordLocked is record for who has the turn. What cannot be written now goes ahead of what is written next.
func (l *Log) recordLocked(notes ...*note) error {
	if len(notes) == 0 {
		return nil
	}
	l.ahead = append(l.ahead, notes...)
	if err := l.try(&batch{}); err != nil {
		return err
	}
	return l.file.Sync()
}

// wrote counts what was written.
func (l *Log) wrote(bytes int64, records int) {
	l.size += bytes
	l.writeTotal.Add(int64(records))
	for _, q := range l.queues {
		q.wrote(bytes, records)
	}
}

// Run makes checkpoints, closes files by their age, removes old ones, and delivers to targets, until ctx ends. Then it
// records the stop, makes the last checkpoint, closes the file, and gives targets a moment to get the rest. The
// caller ends ctx only after the last Append has returned, or accepts that later ones get ErrClosed. The error says
// what could not be written.
func (l *Log) Run(ctx context.Context) error {
	delivering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var queues sync.WaitGroup
	for _, q := range l.queues {
		queues.Go(func() { q.run(delivering) })
	}
	l.keep(ctx)
	err := l.Close()
	stop()
	queues.Wait()
	return err
}

// keep keeps the log in order until ctx ends.
func (l *Log) keep(ctx context.Context) {
	t := time.NewTicker(l.cfg.CheckpointEvery)
	defer t.Stop()
	var again <-chan time.Time // nil while the disk takes records
	var last position
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.failed:
			again = time.After(retryPause)
			continue
		case <-again:
			if again = nil; l.retry() {
				again = time.After(retryPause)
			}
			continue
		case <-t.C:
		}
		err := l.rotateByAge()
		if now := l.cfg.Now(); err == nil && (now.Sub(looked) >= pruneEvery || now.Before(looked)) {
			looked, err = now, l.prune(true)
		} else if err == nil {
			err = l.prune(l.look.Swap(false))
		}
		if err == nil {
			last, err = l.checkpointAfter(last)
		}
		if err != nil {
			l.cfg.Logger.Warn("the log is not kept in order", "log", l.cfg.Name, "err", err)
		}
	}
}

// retry finds out whether a disk that took no records takes them again, where nobody waits for that. It says whether to do so again.
func (l *Log) retry() bool {
	if l.failing.Load() && l.turn.TryLock() {
		defer l.turn.Unlock()
		if l.try(&batch{}) == nil {
			l.recovered()
		}
	}
	return l.failing.Load()
}

// checkpointAfter makes a checkpoint of all records if there are some behind a position.
func (l *Log) checkpointAfter(last position) (position, error) {
	l.turn.Lock()
	file, at := l.file, l.at
	whole := len(l.out.text) == 0
	l.turn.Unlock()
	if file == nil || at == last || !whole {
		return last, nil
	}
	// Who closes the file syncs it first, and makes a checkpoint of its own.
	if err := file.Sync(); errors.Is(err, os.ErrClosed) {
		return last, nil
	} else if err != nil {
		return last, err
	}
	l.checkpoint(at)
	return at, nil
}

// checkpoint signs and gives away a position whose records are on stable storage.
func (l *Log) checkpoint(at position) {
	if l.cfg.Sign == nil || l.cfg.OnCheckpoint == nil || at.seq == 0 {
		return
	}
	c := &Checkpoint{Writer: l.cfg.Writer, Log: l.cfg.Name, Chain: l.chain, Seq: at.seq, Hash: at.hash.String(), Time: l.cfg.Now()}
	c.Signature = l.cfg.Sign(c.message())
	l.cfg.OnCheckpoint(c)
}

// Discard closes a log that was not run, and its targets.
func (l *Log) Discard() error {
	err := l.Close()
	for _, q := range l.queues {
		q.tail.close()
		err = errors.Join(err, q.cfg.Target.Close())
	}
	return err
}

// Close records the stop and closes the log; Run does it too. What waits for the disk is let go.
func (l *Log) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	close(l.ending)
	l.turn.Lock()
	defer l.turn.Unlock()
	l.ahead = append(l.ahead, &note{kind: eventStop, control: control{Time: l.cfg.Now()}})
	err := l.try(&batch{})
	if l.file != nil {
		if err == nil {
			if err = l.file.Sync(); err == nil {
				l.checkpoint(l.at)
			}
		}
		err = errors.Join(err, l.file.Close())
		l.file = nil
	}
	if err != nil {
		return fmt.Errorf("%s log: the end is not written: %w", l.cfg.Name, err)
	}
	return nil
}
