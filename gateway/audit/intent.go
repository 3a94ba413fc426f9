package audit

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Intent is the record that an act is about to be asked for. It is on stable storage before that, so that no act takes effect
// without a record, whenever the process ends. Its outcome is an Act or a Refusal with the same ID. What it has of After and
// Failed is nothing.
type Intent struct {
	Act
	// Request is what was asked for, as the body of a request to the management port tells it; "" where nothing is told.
	Request string
}

func (i *Intent) event() string { return eventIntent }

func (i *Intent) appendFields(b []byte) []byte {
	b = i.appendWhat(b)
	b = appendDocument(b, "before", i.Before)
	b = appendDocument(b, "request", i.Request)
	if i.Bypass {
		b = append(b, `,"bypass":true`...)
	}
	return appendText(b, "intent", i.Act.Intent, textBytesMax)
}

// Refusal is the outcome of an intent that was refused: nothing was changed.
type Refusal struct {
	Time      time.Time
	Intent    string
	ErrorCode string
}

func (r *Refusal) event() string { return eventRefusal }

func (r *Refusal) appendFields(b []byte) []byte {
	b = append(b, `,"timestamp":"`...)
	b = append(appendTime(b, r.Time), '"')
	b = appendText(b, "intent", r.Intent, textBytesMax)
	return appendText(b, "error_code", r.ErrorCode, textBytesMax)
}

// Events of acts.
const (
	eventAct     = "act"
	eventIntent  = "intent"
	eventRefusal = "refusal"
)

// intentPrefix is how many digits of an intent's ID are those of the log that was opened.
const intentPrefix = 16

func newIntentPrefix() string {
	var b [intentPrefix / 2]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Begin gives an act the ID of an intent and records that. When it returns nil, the record is where Append leaves it; when not, the act has no intent.
func (l *Log) Begin(a *Act, request string) error {
	a.Intent = fmt.Sprintf("%s%016x", l.intents, l.intentCount.Add(1))
	err := l.Append(&Intent{Act: *a, Request: request})
	if err != nil {
		a.Intent = ""
	}
	return err
}

// intentsOpenMax bounds the intents without an outcome that are kept in memory. There are as many as acts can be under way at once.
const intentsOpenMax = 10_000

// openIntents follows intents and their outcomes.
type openIntents struct {
	open map[string]*Intent
	kept bool // whole, and not their IDs alone
}

// intentLine is what of a record about an act is read again.
type intentLine struct {
	Intent      string    `json:"intent"`
	Timestamp   time.Time `json:"timestamp"`
	RemoteAddr  string    `json:"remote_addr"`
	User        string    `json:"user"`
	AccessKeyID string    `json:"access_key_id"`
	RequestID   string    `json:"request_id"`
	Kind        ActKind   `json:"kind"`
	Operation   string    `json:"operation"`
	Target      string    `json:"target"`
	VersionID   string    `json:"version_id"`
	Before      string    `json:"before"`
	Request     string    `json:"request"`
	Bypass      bool      `json:"bypass"`
}

// take takes a record of the log of acts. errLine when it is not JSON.
func (o *openIntents) take(event string, text []byte) error {
	switch event {
	case eventAct, eventIntent, eventRefusal:
	default:
		return nil
	}
	var r intentLine
	if json.Unmarshal(text, &r) != nil {
		return errLine
	}
	switch {
	case r.Intent == "":
	case event != eventIntent:
		delete(o.open, r.Intent)
	case len(o.open) < intentsOpenMax:
		i := new(Intent)
		if o.kept {
			i = &Intent{Request: r.Request, Act: Act{
				Time: r.Timestamp, RemoteAddr: r.RemoteAddr, User: r.User, AccessKeyID: r.AccessKeyID, RequestID: r.RequestID, Kind: r.Kind,
				Operation: r.Operation, Target: r.Target, VersionID: r.VersionID, Before: r.Before, Bypass: r.Bypass, Intent: r.Intent,
			}}
		}
		if o.open == nil {
			o.open = make(map[string]*Intent)
		}
		o.open[r.Intent] = i
	}
	return nil
}

// Unresolved gives the intents of earlier processes of which the log has no outcome, oldest first. It reads all that is kept of
// the log; records may be appended meanwhile.
func (l *Log) Unresolved(ctx context.Context) ([]Intent, error) {
	for range verifyTries {
		o := openIntents{kept: true}
		err := l.followIntents(ctx, &o)
		if errors.Is(err, errMoved) {
			continue
		}
		list := slices.SortedFunc(maps.Values(o.open), func(a, b *Intent) int { return a.Time.Compare(b.Time) })
		var out []Intent
		for _, i := range list {
			if !strings.HasPrefix(i.Act.Intent, l.intents) {
				out = append(out, *i)
			}
		}
		return out, err
	}
	return nil, errMoved
}

// followIntents reads the files of the log.
func (l *Log) followIntents(ctx context.Context, o *openIntents) error {
	files, err := l.segments()
	if err != nil {
		return err
	}
	for i := range files {
		if err := errors.Join(ctx.Err(), followIntentsOf(files[i].path, o)); err != nil {
			return err
		}
	}
	return nil
}

func followIntentsOf(path string, o *openIntents) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return errMoved
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := lineReader{r: bufio.NewReaderSize(f, 256<<10)}
	for {
		err := r.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if l, err := parseLine(r.text); err == nil && !r.long {
			_ = o.take(l.event, r.text) // verification tells of what is no record
		}
	}
}
