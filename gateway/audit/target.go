package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"time"
)

// Target takes records away from the disk that they were written to. An implementation is used by one goroutine
// at a time, and passes the suite of gateway/audit/export.
type Target interface {
	// Deliver hands a batch over in its order. Nil says that the other side has all of it. After an error any
	// records of the batch may have arrived; whoever calls hands the batch over again, or gives it up, and
	// does not go on with a later one before that. It returns soon after ctx ends. It retains nothing of b.
	Deliver(ctx context.Context, b *Batch) error
	// Close gives back what the target holds. It is called once, after the last Deliver has returned.
	Close() error
}

// Batch is records of one chain in their order; there is at least one.
type Batch struct {
	Writer  string // peer ID
	Log     string // AccessLog or ActLog
	Chain   string // 32 hex digits
	Records []Exported
}

// Exported is a record as it stands in the log.
type Exported struct {
	Seq uint64
	// ID is the SHA-256 of Text, in 64 lower-case hex digits. A record that is delivered again has the
	// same ID, and no other one has.
	ID    string
	Event string
	Time  time.Time
	// Text is the line without its line end: one JSON object.
	Text []byte
}

// TargetConfig says where records of a log go beside the disk, and what happens while they cannot.
type TargetConfig struct {
	// Name is that of the target, of letters, digits, - and _; no two of a log have the same. Required.
	Name string
	// Kind is the target's protocol, for operators.
	Kind string
	// Target is owned by the log from Open on; Run closes it.
	Target Target
	// QueueBytes bounds what waits for the target, in bytes of the log. It is at least Config.FileBytesMax,
	// and made so when less. Default 1 GiB.
	QueueBytes int64
	// Full says what happens at that bound: Block has Log.Refuses tell that no more requests are to be
	// taken, Shed skips the oldest file of the queue, and records that.
	Full Full
}

const (
	defaultQueueBytes = 1 << 30
	// batchBytesMax and batchRecordsMax bound a batch; a longer line is a batch of its own.
	batchBytesMax   = lineBytesMax
	batchRecordsMax = 2000
)

// TargetStatus is how a target stands with a log.
type TargetStatus struct {
	Target string `json:"target"`
	Kind   string `json:"kind"`
	Log    string `json:"log"`
	// State is idle (it has every record), delivering, retrying, or full (the queue is at its bound).
	State         string    `json:"state"`
	QueueRecords  int64     `json:"queue_records"` // not delivered yet
	QueueBytes    int64     `json:"queue_bytes"`
	QueueBytesMax int64     `json:"queue_bytes_max"`
	Full          string    `json:"full"`            // what happens at the bound: block or shed
	Oldest        time.Time `json:"oldest,omitzero"` // time of the oldest record in the queue
	Delivered     int64     `json:"delivered"`       // records since the start
	Failed        int64     `json:"failed"`          // attempts since the start
	Skipped       int64     `json:"skipped"`         // records left out since the start
	LastDelivery  time.Time `json:"last_delivery,omitzero"`
	LastError     string    `json:"last_error,omitempty"`
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
}

// States of a target.
const (
	TargetIdle       = "idle"
	TargetDelivering = "delivering"
	TargetRetrying   = "retrying"
	TargetFull       = "full"
)

// String names what happens: block or shed.
func (f Full) String() string {
	if f == Shed {
		return "shed"
	}
	return "block"
}

// export gives a line as it is delivered.
func (l *line) export(text []byte) Exported {
	return Exported{Seq: l.seq, ID: hex.EncodeToString(l.hash[:]), Event: l.event, Time: lineTime(text), Text: text}
}

// headBytesMax bounds the beginning of a line, up to the end of its timestamp.
const headBytesMax = 256

// lineTime reads the timestamp of a line, or of its beginning. It stands right behind the event; zero when it does not.
func lineTime(text []byte) time.Time {
	const width = len("2006-01-02T15:04:05.000000000Z")
	_, rest, _ := bytes.Cut(text, []byte(headEvent))
	_, rest, _ = bytes.Cut(rest, []byte{'"'})
	rest, ok := bytes.CutPrefix(rest, []byte(`,"timestamp":"`))
	if !ok || len(rest) < width {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, string(rest[:width]))
	if err != nil {
		return time.Time{}
	}
	return t
}
