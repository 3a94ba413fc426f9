package meta

import (
	"bytes"
	"fmt"
	"testing"

	"shoal/node/api"
)

// TestListTired: a page stops after many delete markers, and the next one goes on from there;
// nothing is lost or listed twice.
func TestListTired(t *testing.T) {
	r := newRig(t, Config{})
	r.must(r.do(versioning(7, "enabled")))
	want := ""
	for i := range 40 {
		key := fmt.Sprintf("%02d", i)
		if i%13 == 12 {
			r.must(r.do(object(key, uint64(i+1))))
			want += key + " "
			continue
		}
		r.must(r.do(deletion(&DeleteItem{Key: []byte(key)})))
	}
	r.exhume()
	for limit := 1; limit < 45; limit += 4 {
		got, after, pages := "", []byte(nil), 0
		for more := true; more; pages++ {
			v := &view{r: r.db, g: testGroup}
			l := lister{page: ListPage{}, max: 2, fold: fold{after: after, limit: limit}}
			if err := l.fold.run(v, appendUint64(v.key(spaceCurrent), 7), &l); err != nil {
				t.Fatal(err)
			}
			for _, e := range l.page.Entries {
				got += string(e.Key) + " "
			}
			if more = l.page.Truncated; more && bytes.Compare(l.page.Next, after) <= 0 {
				t.Fatalf("no progress behind %q", after)
			}
			after = l.page.Next
		}
		if got != want || limit == 1 && pages < 10 {
			t.Errorf("limit %d: %s in %d pages, want %s", limit, got, pages, want)
		}
	}
}

func TestListMalformed(t *testing.T) {
	r := newRig(t, Config{})
	long := make([]byte, 3000)
	for _, q := range []*ListQuery{
		{Max: 1}, {Bucket: 7, Prefix: long, Max: 1}, {Bucket: 7, Delimiter: long, Max: 1}, {Bucket: 7, After: long, Max: 1},
	} {
		if _, err := r.m.List(r.db, testGroup, q); api.KindOf(err) != api.InvalidArgument {
			t.Errorf("%v: %v", q, err)
		}
	}
	r.must(r.do(object("k", 1)))
	if p, err := r.m.List(r.db, testGroup, &ListQuery{Bucket: 7}); err != nil || p.Truncated || len(p.Entries) != 0 {
		t.Errorf("no keys wanted: %v, %v", p, err)
	}
	if _, err := ParseListPage([]byte{0x0a, 0x05}); err == nil {
		t.Error("a cut page was parsed")
	}
}

// TestAnswersBelongToCaller: what was returned stays as it was when the state goes on.
func TestAnswersBelongToCaller(t *testing.T) {
	r := newRig(t, Config{})
	for n := range uint64(50) {
		r.must(r.do(object(fmt.Sprint("k", n), n+1, etag(fmt.Sprint("e", n)))))
	}
	p, err := r.m.List(r.db, testGroup, &ListQuery{Bucket: 7, Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.m.Lookup(r.db, testGroup, &LookupQuery{Bucket: 7, Key: []byte("k7"), Body: true})
	if err != nil {
		t.Fatal(err)
	}
	page, content := AppendListPage(nil, p), string(a.Inline)+string(a.Head.Etag)
	for n := range uint64(50) {
		r.must(r.do(object(fmt.Sprint("k", n), n+100, etag("other"))))
	}
	if err := r.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(AppendListPage(nil, p), page) || string(a.Inline)+string(a.Head.Etag) != content {
		t.Fatal("an answer changed after it was given")
	}
}
