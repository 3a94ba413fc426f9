package meta

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

// object is an inline version of a key, for tests that change a little of it.
func object(key string, n uint64, change ...func(*PutVersion)) *Command_PutVersion {
	c := &PutVersion{
		Bucket: 7, Key: []byte(key), Version: vid(n), Size: 4, Etag: []byte("etag"), Inline: []byte("data"), WrappedDek: []byte("dek"),
	}
	for _, f := range change {
		f(c)
	}
	return &Command_PutVersion{c}
}

// sharded makes a version's content lie in shards.
func sharded(streams ...uint64) func(*PutVersion) {
	return func(c *PutVersion) {
		c.Inline, c.WrappedDek, c.Manifest, c.Streams = nil, nil, []byte("manifest"), streams
	}
}

func etag(s string) func(*PutVersion) { return func(c *PutVersion) { c.Etag = []byte(s) } }

func deletion(items ...*DeleteItem) *Command_DeleteObjects {
	return &Command_DeleteObjects{&DeleteObjects{Bucket: 7, Items: items}}
}

func versioning(bucket uint64, value string) *Command_SetBucketConfig {
	return &Command_SetBucketConfig{&SetBucketConfig{Bucket: bucket, Name: "versioning", Value: []byte(value)}}
}

// TestConditions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
// (If-None-Match: 412 when the key exists; If-Match: 412 on another ETag, 404 when there is no
// current version or it is a delete marker).
func TestConditions(t *testing.T) {
	none := func(c *PutVersion) { c.IfNoneMatch = true }
	match := func(s string) func(*PutVersion) { return func(c *PutVersion) { c.IfMatch = []byte(s) } }
	for _, c := range []struct {
		name  string
		given string // "", "object", "marker"
		cond  func(*PutVersion)
		want  api.Kind
	}{
		{"none match on nothing", "", none, ok},
		{"none match on an object", "object", none, api.PreconditionFailed},
		{"none match on a delete marker", "marker", none, ok},
		{"match on nothing", "", match("old"), api.NoSuchKey},
		{"match any on nothing", "", match("*"), api.NoSuchKey},
		{"match on the object", "object", match("old"), ok},
		{"match any on an object", "object", match("*"), ok},
		{"match on another object", "object", match("other"), api.PreconditionFailed},
		{"match on a delete marker", "marker", match("old"), api.NoSuchKey},
		{"none and match on the object", "object", func(c *PutVersion) { none(c); match("old")(c) }, api.PreconditionFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			if c.given != "" {
				r.must(r.do(versioning(7, "enabled")))
				r.must(r.do(object("k", 1, etag("old"))))
			}
			if c.given == "marker" {
				r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
			}
			res := r.do(object("k", 2, c.cond))
			if c.want != ok {
				r.refused(res, c.want)
				return
			}
			if w := r.must(res).GetWritten(); w.Mtime != r.now || !bytes.Equal(w.Version, vid(2)) {
				t.Fatalf("written %v at %d", w, r.now)
			}
		})
	}
}

func TestPutMalformed(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 2<<20)
	for name, change := range map[string]func(*PutVersion){
		"no bucket":             func(c *PutVersion) { c.Bucket = 0 },
		"no key":                func(c *PutVersion) { c.Key = nil },
		"long key":              func(c *PutVersion) { c.Key = long[:1025] },
		"short version ID":      func(c *PutVersion) { c.Version = long[:15] },
		"zero version ID":       func(c *PutVersion) { c.Version = make([]byte, 16) },
		"long ETag":             func(c *PutVersion) { c.Etag = long[:200] },
		"long checksum":         func(c *PutVersion) { c.ChecksumValue = long[:200] },
		"long metadata":         func(c *PutVersion) { c.Metadata = long[:MaxMetadataBytes+1] },
		"long content":          func(c *PutVersion) { c.Inline = long[:MaxInlineBytes+1] },
		"long manifest":         func(c *PutVersion) { sharded(1)(c); c.Manifest = long[:MaxManifestBytes+1] },
		"inline and manifest":   func(c *PutVersion) { c.Manifest = []byte("m") },
		"inline with streams":   func(c *PutVersion) { c.Streams = []uint64{1} },
		"too long altogether":   func(c *PutVersion) { c.Inline = long },
		"source without a key":  func(c *PutVersion) { c.Source = &Source{Bucket: 7, Version: vid(1)} },
		"source without a name": func(c *PutVersion) { c.Source = &Source{Bucket: 7, Key: []byte("k")} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.refused(r.do(object("k", 1, change)), api.InvalidArgument)
			if c := r.ask(&Query_Counters{&CountersQuery{}}).GetCounters(); c.Group.Versions != 0 {
				t.Fatalf("something was stored: %v", c)
			}
		})
	}
	r := newRig(t, Config{})
	r.refused(r.do(object("k", 1, func(c *PutVersion) { c.Size = api.MaxObjectSize + 1 })), api.EntityTooLarge)
}

func TestCopySource(t *testing.T) {
	from := func(key string, n uint64) func(*PutVersion) {
		return func(c *PutVersion) { c.Source = &Source{Bucket: 7, Key: []byte(key), Version: vid(n)} }
	}
	for _, c := range []struct {
		name string
		src  func(*PutVersion)
		want api.Kind
	}{
		{"current", from("new", 2), ok},
		{"noncurrent", from("new", 1), ok},
		{"of another key", from("other", 1), api.ConditionalConflict},
		{"removed", from("gone", 3), api.ConditionalConflict},
		{"never there", from("new", 9), api.ConditionalConflict},
		{"onto itself", from("k", 5), ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.must(r.do(versioning(7, "enabled")))
			for _, o := range []*Command_PutVersion{object("new", 1), object("new", 2), object("gone", 3), object("k", 5, etag("k5"))} {
				r.must(r.do(o))
			}
			r.must(r.do(deletion(&DeleteItem{Key: []byte("gone"), Version: vid(3)})))
			res := r.do(object("k", 4, c.src, sharded(1), func(c *PutVersion) { c.IfMatch = []byte("k5") }))
			if c.want != ok {
				r.refused(res, c.want)
				return
			}
			r.must(res)
			events := r.ask(&Query_Feed{&FeedQuery{After: 5}}).GetFeed().Events
			if len(events) != 1 || events[0].Kind != Event_COPIED {
				t.Fatalf("events %v", events)
			}
			old := r.ask(&Query_Lookup{&LookupQuery{Bucket: 7, Key: []byte("k"), Version: vid(5), Body: true}}).GetLookup()
			if string(old.Head.Etag) != "k5" || string(old.Inline) != "data" {
				t.Fatalf("the version before is %v", old)
			}
		})
	}
}

// TestRepeatedPut: a writer that got no answer sends its command again, with or without the same
// request ID.
func TestRepeatedPut(t *testing.T) {
	r := newRig(t, Config{})
	first := r.must(r.do(object("k", 1, sharded(1))))
	again := r.must(r.do(object("k", 1, sharded(1))))
	if first.GetWritten().Mtime != again.GetWritten().Mtime {
		t.Fatalf("%v, then %v", first, again)
	}
	r.refused(r.do(object("k", 1, etag("else"))), api.InvalidArgument)
	r.refused(r.do(object("other", 1, sharded(1))), api.InvalidArgument)
	if c := r.ask(&Query_Counters{&CountersQuery{Bucket: 7}}).GetCounters(); c.Bucket.Versions != 1 || c.Garbage != 0 {
		t.Fatalf("counters %v", c)
	}
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	r.refused(r.do(object("k", 1, sharded(1), etag("else"))), api.UploadExpired)
	r.refused(r.do(object("other", 1, sharded(1))), api.UploadExpired)
}

// TestRepeatedPutOfTheGone: a command whose version was replaced or removed before it came again is
// answered as it was the first time, and does nothing. A version that never lived is refused.
func TestRepeatedPutOfTheGone(t *testing.T) {
	for name, c := range map[string]struct {
		mode string
		gone isCommand_Op
	}{
		"overwritten":                    {"", object("k", 2, sharded(1))},
		"overwritten inline":             {"", object("k", 2)},
		"deleted":                        {"", deletion(&DeleteItem{Key: []byte("k")})},
		"noncurrent":                     {"enabled", object("k", 2, sharded(1))},
		"behind a marker":                {"enabled", deletion(&DeleteItem{Key: []byte("k")})},
		"deleted by its ID":              {"enabled", deletion(&DeleteItem{Key: []byte("k"), Version: vid(1)})},
		"overwritten in a suspended one": {"suspended", object("k", 2, sharded(1))},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			if c.mode != "" {
				r.must(r.do(versioning(7, c.mode)))
			}
			made := object("k", 1, sharded(1), func(c *PutVersion) { c.IfNoneMatch = true })
			first := r.must(r.do(made))
			r.must(r.do(c.gone))
			before := r.dump(testGroup)
			again := r.must(r.do(made))
			if !proto.Equal(again, first) {
				t.Errorf("%v, then %v", first, again)
			}
			if after := r.dump(testGroup); cutHeader(after) != cutHeader(before) {
				t.Errorf("a repeat changed %s to %s", before, after)
			}
			r.refused(r.do(&Command_CompleteUpload{&CompleteUpload{
				Bucket: 7, Key: []byte("k"), Upload: vid(1), Manifest: []byte("m"), Etag: made.PutVersion.Etag, Parts: []*CompletePart{{Number: 1}},
			}}), api.NoSuchUpload)
		})
	}
	t.Run("condemned", func(t *testing.T) {
		r := newRig(t, Config{})
		r.must(r.do(&Command_Condemn{&Condemn{Owners: []*StreamOwner{{Version: vid(1), Stream: 1}}}}))
		r.refused(r.do(object("k", 1, sharded(1))), api.UploadExpired)
	})
	t.Run("an aborted upload", func(t *testing.T) {
		r := uploading(t)
		r.must(r.do(&Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}))
		r.refused(r.do(object("k", 1, sharded(99))), api.UploadExpired)
		r.refused(r.do(completionOf()), api.NoSuchUpload)
	})
}

// cutHeader leaves the group's header out of a dump, whose clock goes on.
func cutHeader(dump string) string {
	lines := strings.Split(dump, "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "h ") })
	return strings.Join(slices.Delete(lines, i, i+2), "\n")
}

// TestLateRepeat: after its tombstone is gone, a version ID stays closed while garbage names it.
func TestLateRepeat(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(object("k", 1, sharded(1))))
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	r.now += int64(2 * retiredTTL)
	r.must(r.do(object("other", 2)))
	v := &view{r: r.db, g: testGroup}
	if kept, err := v.has(v.idKey(spaceOwner, versionID(vid(1)))); kept || err != nil {
		t.Fatalf("the tombstone is still there: %v", err)
	}
	if s := r.owners(vid(1), 1)[0]; s != dead {
		t.Fatalf("owner of garbage: %v", s)
	}
	r.refused(r.do(object("k", 1, sharded(1))), api.UploadExpired)
	r.refused(r.do(&Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte("k"), Upload: vid(1)}}), api.UploadExpired)
	r.must(r.do(&Command_GarbageDone{&GarbageDone{Seqs: []uint64{1}}}))
	if s := r.owners(vid(1), 1)[0]; s != unknown {
		t.Fatalf("owner of nothing: %v", s)
	}
	r.must(r.do(object("k", 1, sharded(1))))
}

// TestMetadata round trips what clients say, whatever bytes it holds.
func TestMetadata(t *testing.T) {
	for _, m := range []api.Metadata{
		{},
		{ContentType: "text/plain", Expires: "never", User: map[string]string{"a": "1", "b": "\xff\x00"}},
		{CacheControl: strings.Repeat("x", 300), WebsiteRedirect: "/", ContentLanguage: "de", ContentEncoding: "gzip", ContentDisposition: "inline"},
	} {
		b := AppendMetadata([]byte("before"), &m)
		got, err := ParseMetadata(b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if again := AppendMetadata([]byte("before"), &got); !bytes.Equal(again, b) || got.User["b"] != m.User["b"] || got.Expires != m.Expires {
			t.Fatalf("%+v became %+v", m, got)
		}
	}
	if _, err := ParseMetadata([]byte{0xff}); api.KindOf(err) != api.Corrupt {
		t.Fatalf("garbage: %v", err)
	}
}
