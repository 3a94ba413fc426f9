package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
)

const (
	bucket     = "bench"
	rangeBytes = 64 * kib
	pageKeys   = 1000
	// teamConnections is how many parts of one large object are on their way at once, at most.
	teamConnections = 16
)

// objects are those of one size in the bucket, and the operations on them. Those that are
// loads have the signature of load.op.
type objects struct {
	content  *content
	bucket   string // in which they are; "" is that of most rows
	unsigned bool
	size     int64        // of each, in bytes
	issued   atomic.Int64 // objects given out to be written
	written  atomic.Int64 // objects 0 to written-1 were written; set when a load has ended
	deleted  atomic.Int64 // objects 0 to deleted-1 are gone again
	cold     atomic.Int64 // objects that getCold has read
}

// key is the name of the object of that number.
func (o *objects) key(number int64) string { return fmt.Sprintf("%s/%09d", sizeName(o.size), number) }

func (o *objects) path(number int64) string { return o.root() + "/" + o.key(number) }

func (o *objects) root() string { return "/" + cmp.Or(o.bucket, bucket) }

func (o *objects) parts() int { return int((o.size + partBytes - 1) / partBytes) }

// warm computes the digests that requests carry.
func (o *objects) warm() {
	if !o.unsigned {
		o.content.warm(int(min(o.size, partBytes)), o.parts())
	}
}

func (o *objects) payload(p piece) string {
	if o.unsigned {
		return unsigned
	}
	return o.content.digest(p)
}

// put writes a new object with one request, or in parts over all connections.
func (o *objects) put(ctx context.Context, cs []*client, _ int64) (int64, error) {
	number := o.issued.Add(1) - 1
	if o.size > partBytes {
		return o.size, o.putParts(ctx, cs, number)
	}
	p := place(number, 0, int(o.size))
	a, err := cs[0].do(ctx, &request{method: "PUT", path: o.path(number), body: o.content.bytes(p), payload: o.payload(p)}, nil)
	if err == nil && a.etag == "" {
		err = errors.New("PUT without an ETag")
	}
	return o.size, err
}

// putParts uploads the parts side by side.
func (o *objects) putParts(ctx context.Context, cs []*client, number int64) error {
	a, err := cs[0].do(ctx, &request{method: "POST", path: o.path(number), query: "uploads="}, nil)
	if err != nil {
		return err
	}
	var begun struct{ UploadId string }
	if err := xml.Unmarshal(a.body, &begun); err != nil || begun.UploadId == "" {
		return fmt.Errorf("answer to a new upload: %q: %v", a.body, err)
	}
	id := escape(begun.UploadId, false)
	etags := make([]string, o.parts())
	err = each(cs, len(etags), func(c *client, part int) error {
		p := place(number, part, partBytes)
		query := "partNumber=" + strconv.Itoa(part+1) + "&uploadId=" + id
		a, err := c.do(ctx, &request{method: "PUT", path: o.path(number), query: query, body: o.content.bytes(p), payload: o.payload(p)}, nil)
		etags[part] = a.etag
		return err
	})
	if err != nil {
		return err
	}
	var list bytes.Buffer
	list.WriteString("<CompleteMultipartUpload>")
	for part, etag := range etags {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", part+1, etag)
	}
	list.WriteString("</CompleteMultipartUpload>")
	a, err = cs[0].do(ctx, &request{method: "POST", path: o.path(number), query: "uploadId=" + id, body: list.Bytes(), payload: unsigned}, nil)
	if err == nil && bytes.Contains(a.body, []byte("<Error>")) {
		err = fmt.Errorf("complete an upload: %s", a.body)
	}
	return err
}

// each calls do for 0 to n-1, side by side on the connections, and returns the first error of each.
func each(cs []*client, n int, do func(c *client, i int) error) error {
	errs := make([]error, len(cs))
	var next atomic.Int64
	var wg sync.WaitGroup
	for w, c := range cs {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				errs[w] = do(c, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// get reads some object whole.
func (o *objects) get(ctx context.Context, cs []*client, _ int64) (int64, error) {
	return o.size, o.getObject(ctx, cs, o.any())
}

// getObject reads an object whole and compares it. A large one is read in ranges over all
// connections.
func (o *objects) getObject(ctx context.Context, cs []*client, number int64) error {
	if o.size <= partBytes {
		return o.read(ctx, cs[0], number, place(number, 0, int(o.size)), 0, 0, o.size)
	}
	return each(cs, o.parts(), func(c *client, part int) error {
		return o.read(ctx, c, number, place(number, part, partBytes), int64(part)*partBytes, 0, partBytes)
	})
}

// getRange reads a short range at any place of an object and compares it.
func (o *objects) getRange(ctx context.Context, cs []*client, _ int64) (int64, error) {
	number := o.any()
	from := rand.Int64N(o.size - rangeBytes)
	return rangeBytes, o.read(ctx, cs[0], number, place(number, 0, int(o.size)), 0, from, rangeBytes)
}

// warmBytes is how much is read again and again, so that it comes out of the page cache.
const warmBytes = 512 * mib

// warmObjects is how many objects are read again and again.
func (o *objects) warmObjects() int64 { return max(warmBytes/o.size, 1) }

// any is the number of an object that exists, one of the first that do.
func (o *objects) any() int64 {
	first := o.deleted.Load()
	return first + rand.Int64N(min(o.written.Load()-first, o.warmObjects()))
}

// getNext reads the object of that number, so that all get into the page cache.
func (o *objects) getNext(ctx context.Context, cs []*client, number int64) (int64, error) {
	if number >= min(o.written.Load(), o.warmObjects()) {
		return 0, errExhausted
	}
	return o.size, o.getObject(ctx, cs, number)
}

// getCold reads an object that was written past the page cache and not read since.
func (o *objects) getCold(ctx context.Context, cs []*client, _ int64) (int64, error) {
	number := o.warmObjects() + o.cold.Add(1) - 1
	if number >= o.written.Load() {
		return 0, errExhausted
	}
	return o.size, o.getObject(ctx, cs, number)
}

// read reads length bytes of a piece that stands at base in the object, from an offset of the piece on.
func (o *objects) read(ctx context.Context, c *client, number int64, p piece, base, from, length int64) error {
	r := request{method: "GET", path: o.path(number)}
	if length != o.size {
		r.headers = []header{{"range", fmt.Sprintf("bytes=%d-%d", base+from, base+from+length-1)}}
	}
	var done int64
	_, err := c.do(ctx, &r, func(offset int64, got []byte) error {
		done += int64(len(got))
		return o.content.check(p, from+offset, got)
	})
	if err == nil && done != length {
		err = fmt.Errorf("GET gave %d of %d bytes", done, length)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return nil
}

// head asks for an object's size.
func (o *objects) head(ctx context.Context, cs []*client, _ int64) (int64, error) {
	a, err := cs[0].do(ctx, &request{method: "HEAD", path: o.path(o.any())}, nil)
	if err == nil && a.length != o.size {
		err = fmt.Errorf("HEAD says %d of %d bytes", a.length, o.size)
	}
	return 0, err
}

// delete removes the oldest object that is left.
func (o *objects) delete(ctx context.Context, cs []*client, _ int64) (int64, error) {
	number := o.deleted.Add(1) - 1
	if number >= o.written.Load() {
		return 0, errExhausted
	}
	_, err := cs[0].do(ctx, &request{method: "DELETE", path: o.path(number)}, nil)
	return 0, err
}

// list reads a page of 1,000 keys that begins anywhere, and checks each key and its order.
func (o *objects) list(ctx context.Context, cs []*client, _ int64) (int64, error) {
	exist := o.written.Load()
	count := min(exist, pageKeys)
	first := rand.Int64N(exist - count + 1)
	query := "list-type=2&max-keys=" + strconv.Itoa(pageKeys) + "&prefix=" + escape(sizeName(o.size)+"/", false)
	if first > 0 {
		query += "&start-after=" + escape(o.key(first-1), false)
	}
	a, err := cs[0].do(ctx, &request{method: "GET", path: o.root(), query: query}, nil)
	if err != nil {
		return 0, err
	}
	return int64(len(a.body)), o.checkPage(a.body, first, count)
}

// checkPage checks that a page lists count objects from first on, and no other.
func (o *objects) checkPage(body []byte, first, count int64) error {
	opening, closing := []byte("<Key>"), []byte("</Key>")
	for i := range count {
		_, rest, ok := bytes.Cut(body, opening)
		key, rest, closed := bytes.Cut(rest, closing)
		if !ok || !closed {
			return fmt.Errorf("a page lists %d of %d keys", i, count)
		}
		if want := o.key(first + i); string(key) != want {
			return fmt.Errorf("a page lists %q where %q belongs", key, want)
		}
		body = rest
	}
	if bytes.Contains(body, opening) {
		return fmt.Errorf("a page lists more than %d keys", count)
	}
	return nil
}
