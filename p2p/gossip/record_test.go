package gossip

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"shoal/p2p"
)

func sampleRecord() *Record {
	return &Record{
		Peer: "12D3KooW", Incarnation: 9, Version: 3, Site: "a", Roles: p2p.RoleNode, Release: "1.2", Level: 4,
		Addrs:  []string{"/ip4/10.0.0.1/tcp/4001"},
		Drives: []Drive{{ID: [16]byte{1}, Capacity: 10, Used: 3, State: DriveSlow}, {ID: [16]byte{2}, Capacity: 5, State: DriveGone}},
		Load:   500, Draining: true, Epochs: p2p.Epochs{Members: 1, Layout: 2, IAM: 3},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	in := sampleRecord()
	out, err := Decode(in.Encode())
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("got %+v, %v", out, err)
	}
	if in.Free() != 7 {
		t.Errorf("free %d, want 7: a drive that is gone has no room", in.Free())
	}
}

func TestRecordRefused(t *testing.T) {
	cases := []struct {
		name string
		edit func(r *Record)
	}{
		{"no peer", func(r *Record) { r.Peer = "" }},
		{"too many addresses", func(r *Record) { r.Addrs = make([]string, addrMax+1) }},
		{"too many drives", func(r *Record) { r.Drives = make([]Drive, DrivesMax+1) }},
		{"site too long", func(r *Record) { r.Site = strings.Repeat("x", shortMax+1) }},
		{"too large", func(r *Record) { r.Release = strings.Repeat("x", RecordMax) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := sampleRecord()
			c.edit(r)
			if _, err := Decode(r.Encode()); !errors.Is(err, ErrRecord) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRecordNewer(t *testing.T) {
	cases := []struct {
		a, b Record
		want bool
	}{
		{Record{Incarnation: 1, Version: 2}, Record{Incarnation: 1, Version: 1}, true},
		{Record{Incarnation: 1, Version: 1}, Record{Incarnation: 1, Version: 1}, false},
		{Record{Incarnation: 2, Version: 1}, Record{Incarnation: 1, Version: 9}, true},
		{Record{Incarnation: 1, Version: 9}, Record{Incarnation: 2, Version: 1}, false},
	}
	for _, c := range cases {
		if got := c.a.Newer(&c.b); got != c.want {
			t.Errorf("%d.%d newer than %d.%d: %v", c.a.Incarnation, c.a.Version, c.b.Incarnation, c.b.Version, got)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(sampleRecord().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(r.Encode())
		if err != nil || !bytes.Equal(again.Encode(), r.Encode()) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	e := envelope{kind: kindAlert, body: []byte("x"), credential: []byte("y")}
	f.Add(e.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEnvelope(b)
		if err != nil {
			return
		}
		again, err := decodeEnvelope(e.encode())
		if err != nil || !bytes.Equal(again.encode(), e.encode()) {
			t.Fatalf("not stable: %v", err)
		}
	})
}
