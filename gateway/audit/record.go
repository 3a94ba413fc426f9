package audit

import (
	"strconv"
	"time"
)

// Entry is what a record tells, without its place in the chain.
type Entry interface {
	event() string
	// appendFields appends the fields behind the event, each with a comma before it.
	appendFields(b []byte) []byte
}

// Record is the access record of one request, served or refused.
type Record struct {
	Time          time.Time // when the request's head had been read
	RemoteAddr    string    // host:port of the connection
	User          string    // principal ID, "" when nobody was authenticated
	AccessKeyID   string    // one that exists; what else a client sends in its place may be a secret
	Method        string
	Bucket, Key   string
	VersionID     string // asked for, or else made or read, "" when none is known
	Operation     string // name in the AWS model, or the route of the management port
	Target        string // of a request to the management port: what it was to change, beside the bucket, as Act.Target; "" where that is not known
	Status        int    // as sent; 0 when the connection ended before an answer
	BytesSent     int64  // of the body
	BytesReceived int64  // of the body, framing included
	UserAgent     string
	Duration      time.Duration
	RequestID     string
	ErrorCode     string // S3 error code, "" on success
	Decision      string // Allowed, Denied or Partly; "" when it did not come to that
	Reason        string // of the decision, in words
	Aborted       bool   // the answer was begun and not finished
}

// Decisions of access records.
const (
	Allowed = "allow"
	Denied  = "deny"
	// Partly: some of the parts of a request were denied, as of DeleteObjects.
	Partly = "partly"
	// BeforePolicies is the reason of a denial that no policy had a part in.
	BeforePolicies = "denied before any policy was asked"
)

// Bounds of texts in a record, in bytes; what is longer is cut.
const (
	keyBytesMax  = 1024
	textBytesMax = 512
)

func (r *Record) event() string { return "request" }

func (r *Record) appendFields(b []byte) []byte {
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, r.Time)
	b = append(b, '"')
	b = appendText(b, "remote_addr", r.RemoteAddr, textBytesMax)
	b = appendText(b, "user", r.User, textBytesMax)
	b = appendText(b, "access_key_id", r.AccessKeyID, textBytesMax)
	b = appendText(b, "method", r.Method, textBytesMax)
	b = appendText(b, "bucket", r.Bucket, textBytesMax)
	b = appendText(b, "key", r.Key, keyBytesMax)
	b = appendText(b, "version_id", r.VersionID, textBytesMax)
	b = appendText(b, "operation", r.Operation, textBytesMax)
	b = appendInt(b, "status", int64(r.Status))
	b = appendInt(b, "bytes_sent", r.BytesSent)
	b = appendInt(b, "bytes_received", r.BytesReceived)
	b = appendText(b, "user_agent", r.UserAgent, textBytesMax)
	b = append(b, `,"duration_ms":`...)
	b = strconv.AppendFloat(b, float64(r.Duration)/float64(time.Millisecond), 'f', 3, 64)
	b = appendText(b, "request_id", r.RequestID, textBytesMax)
	b = appendText(b, "error_code", r.ErrorCode, textBytesMax)
	b = appendText(b, "decision", r.Decision, textBytesMax)
	b = appendText(b, "reason", r.Reason, textBytesMax)
	if r.Target != "" {
		b = appendText(b, "target", r.Target, textBytesMax)
	}
	if r.Aborted {
		b = append(b, `,"aborted":true`...)
	}
	return b
}

// Cut says of an answer whose record was written before its last bytes that they could not be sent.
type Cut struct {
	Time      time.Time
	RequestID string
	BytesSent int64 // of the body
}

func (c *Cut) event() string { return "cut" }

func (c *Cut) appendFields(b []byte) []byte {
	b = append(b, `,"timestamp":"`...)
	b = append(appendTime(b, c.Time), '"')
	b = appendText(b, "request_id", c.RequestID, textBytesMax)
	return appendInt(b, "bytes_sent", c.BytesSent)
}

// note is a record about the log itself. Its fields are those of control.
type note struct {
	kind string
	control
}

func (n *note) event() string { return n.kind }

func (n *note) appendFields(b []byte) []byte {
	b = append(b, `,"timestamp":"`...)
	b = append(appendTime(b, n.Time), '"')
	for _, f := range [...]struct{ name, text string }{
		{"log", n.Log}, {"writer", n.Writer}, {"chain", n.Chain}, {"release", n.Release}, {"after", n.After},
		{"torn_hash", n.TornHash}, {"since", n.Since}, {"through_hash", n.ThroughHash}, {"file", n.File},
		{"target", n.Target}, {"reason", n.Reason},
	} {
		if f.text != "" {
			b = appendText(b, f.name, f.text, textBytesMax)
		}
	}
	for _, f := range [...]struct {
		name  string
		value int64
	}{{"torn_bytes", n.TornBytes}, {"records", n.Records}, {"through_seq", int64(n.ThroughSeq)}, {"first_seq", int64(n.FirstSeq)}, {"last_seq", int64(n.LastSeq)}} {
		if f.value != 0 {
			b = appendInt(b, f.name, f.value)
		}
	}
	return b
}

// Events of records about the log itself.
const (
	eventFile   = "file"   // the first of each file: log, writer, chain
	eventStart  = "start"  // the process began: release, after
	eventStop   = "stop"   // it ended in order
	eventCrash  = "crash"  // what lies before it was torn: torn_bytes, torn_hash
	eventShed   = "shed"   // records were left out: records, since
	eventPruned = "pruned" // a file is removed for its age or for room: file, through_seq, through_hash
	// eventSkipped: a target does not get records: target, reason, chain, first_seq, last_seq, records.
	eventSkipped = "skipped"
	// eventRefused: requests were refused without a record each: records, since.
	eventRefused = "refused"
)

// What a start comes after.
const (
	afterNothing = "nothing"
	afterStop    = "stop"
	afterCrash   = "crash"
)

// control is what records about the log itself hold.
type control struct {
	Time        time.Time `json:"timestamp"`
	Log         string    `json:"log,omitempty"`
	Writer      string    `json:"writer,omitempty"` // peer ID
	Chain       string    `json:"chain,omitempty"`  // 32 hex digits, drawn for the chain
	Release     string    `json:"release,omitempty"`
	After       string    `json:"after,omitempty"`
	TornBytes   int64     `json:"torn_bytes,omitempty"` // between the record before and this one
	TornHash    string    `json:"torn_hash,omitempty"`  // SHA-256 of those bytes, 64 hex digits
	Records     int64     `json:"records,omitempty"`    // that were left out
	Since       string    `json:"since,omitempty"`      // when the first of them was, RFC 3339
	File        string    `json:"file,omitempty"`
	ThroughSeq  uint64    `json:"through_seq,omitempty"` // the last record in that file, with its hash
	ThroughHash string    `json:"through_hash,omitempty"`
	Target      string    `json:"target,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	FirstSeq    uint64    `json:"first_seq,omitempty"`
	LastSeq     uint64    `json:"last_seq,omitempty"`
}
