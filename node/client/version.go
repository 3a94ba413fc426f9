package client

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"sync"

	"shoal/node/api"
	"shoal/node/meta"
)

// nullVersion is what S3 calls a version made while versioning was off or suspended.
const nullVersion = "null"

// versionEncoding gives 32 characters for the 24 bytes of a name, none of which means anything in a URL or
// to a shell.
var versionEncoding = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._").WithPadding(base64.NoPadding).Strict()

// versionName is a version as its group knows it: its place in the order of versions, and its ID. The
// zero value is the current version.
type versionName struct {
	seq  uint64
	id   []byte // 16 bytes, or none
	null bool   // the version that S3 calls "null"
}

// text is a version's ID as clients see it: its place and its ID, so that a listing can go on behind a
// version that is gone. The place is covered with bytes of the ID: it is nobody's business.
func (v versionName) text() string {
	if v.null {
		return nullVersion
	}
	return v.place()
}

// place is text also for the version that S3 calls "null".
func (v versionName) place() string {
	if len(v.id) != 16 {
		return ""
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), v.seq^binary.BigEndian.Uint64(v.id))
	return versionEncoding.EncodeToString(append(b, v.id...))
}

// shown is text, and "" in a bucket that was never versioned.
func (v versionName) shown(versioned bool) string {
	if !versioned {
		return ""
	}
	return v.text()
}

func headVersion(h *meta.Head) versionName {
	return versionName{h.GetSeq(), h.GetVersion(), h.NullVersion()}
}

// parseVersion reads what text made, and "" as the current version.
func parseVersion(text string) (v versionName, err error) {
	switch text {
	case "":
		return v, nil
	case nullVersion:
		return versionName{null: true}, nil
	}
	b, err := versionEncoding.DecodeString(text)
	if err != nil || len(text) != 32 || len(b) != 24 {
		return v, &api.Error{Kind: api.InvalidArgument, Op: "client.parseVersion", Version: text, Detail: "Invalid version id specified"}
	}
	v = versionName{binary.BigEndian.Uint64(b) ^ binary.BigEndian.Uint64(b[8:]), b[8:], false}
	if v.seq == 0 {
		v.seq = math.MaxUint64 // no version has it, and 0 would mean any
	}
	return v, nil
}

// Small bodies are read into reused memory.
var plains = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

func getPlain(n int) *[]byte {
	p := plains.Get().(*[]byte)
	if cap(*p) < n {
		*p = make([]byte, 0, n)
	}
	*p = (*p)[:n]
	return p
}

func putPlain(p *[]byte) { plains.Put(p) }
