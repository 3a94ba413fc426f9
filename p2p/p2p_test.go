package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestParseRoles(t *testing.T) {
	cases := []struct {
		in   string
		want Role
		ok   bool
	}{
		{"node", RoleNode, true},
		{"node, gateway", RoleNode | RoleGateway, true},
		{"", 0, false},
		{"node,", 0, false},
		{"admin", 0, false},
	}
	for _, c := range cases {
		if got, ok := ParseRoles(c.in); got != c.want || ok != c.ok {
			t.Errorf("%q: %v %v", c.in, got, ok)
		}
	}
	for _, r := range []Role{RoleNode, RoleNode | RoleGateway} {
		if got, ok := ParseRoles(r.String()); !ok || got != r {
			t.Errorf("%v does not come back", r)
		}
	}
	if s := (RoleNode | 1<<9).String(); s != "node,0x200" {
		t.Errorf("unknown bit: %q", s)
	}
}

func TestCallError(t *testing.T) {
	sent := fmt.Errorf("put shard: %w", &CallError{To: "peer", Method: 3 | MethodBulk, Sent: true, Err: context.Canceled})
	if !errors.Is(sent, ErrOutcomeUnknown) || !errors.Is(sent, context.Canceled) {
		t.Errorf("sent: %v", sent)
	}
	unsent := &CallError{To: "peer", Err: fmt.Errorf("%w: refused", ErrUnreachable)}
	if errors.Is(unsent, ErrOutcomeUnknown) || !errors.Is(unsent, ErrUnreachable) {
		t.Errorf("not sent: %v", unsent)
	}
}

type coded struct{ text string }

func (e *coded) Error() string    { return e.text }
func (e *coded) WireCode() uint32 { return 9 }

func TestNewRemoteError(t *testing.T) {
	if e := NewRemoteError(errors.New("path /secret")); e.Code != CodeInternal || e.Text != "" {
		t.Errorf("undisclosed: %+v", e)
	}
	e := NewRemoteError(fmt.Errorf("outer: %w", &coded{strings.Repeat("é", ErrorTextMax)}))
	if e.Code != 9 || len(e.Text) != ErrorTextMax || !strings.HasSuffix(e.Text, "é") {
		t.Errorf("bounded: code %d, %d bytes", e.Code, len(e.Text))
	}
	if again := NewRemoteError(e); *again != *e {
		t.Errorf("passed on: %+v", again)
	}
}

func TestMessageRelease(t *testing.T) {
	freed := 0
	m := NewMessage([]byte("h"), []byte("p"), func() { freed++ })
	m.Release()
	m.Release()
	(*Message)(nil).Release()
	if freed != 1 || m.Payload != nil {
		t.Errorf("freed %d times, payload %q", freed, m.Payload)
	}
}

func TestPipe(t *testing.T) {
	near, far := NewPipe()
	go func() {
		io.WriteString(near, "one way")
		near.CloseWrite()
	}()
	if b, err := io.ReadAll(far); err != nil || string(b) != "one way" {
		t.Errorf("%q, %v", b, err)
	}
	cause := errors.New("cut")
	go near.Abort(cause)
	if _, err := far.Write([]byte("x")); !errors.Is(err, cause) {
		t.Errorf("after an abort: %v", err)
	}
	near, far = NewPipe()
	near.Close()
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after a close: %v", err)
	}
}
