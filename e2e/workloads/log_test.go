package workloads

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const pollEvery = 20 * time.Millisecond

func entryKey(index int) string { return fmt.Sprintf("log/%09d", index) }

// appended is what writers were told.
type appended struct {
	mu      sync.Mutex // guards entries
	entries map[int]string
	next    map[int]int // of each writer, the number of its next entry
}

// TestLog: a log whose entries are objects made by If-None-Match has no gap, and each acknowledged entry once,
// where its writer was told that it is, in the writer's order.
func TestLog(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	told := &appended{entries: make(map[int]string), next: make(map[int]int)}
	s.race(6, func(_ context.Context, w *worker) error {
		told.mu.Lock()
		n := told.next[w.number]
		told.next[w.number]++
		told.mu.Unlock()
		text := fmt.Sprintf("%s entry %d", w.name(), n)
		index, err := w.appendEntry(told, text)
		if err != nil {
			return err
		}
		told.mu.Lock()
		defer told.mu.Unlock()
		if other, ok := told.entries[index]; ok {
			return fmt.Errorf("entry %d was acknowledged as %q and as %q", index, other, text)
		}
		told.entries[index] = text
		return nil
	})
	if t.Failed() {
		return
	}
	w := &worker{store: s}
	keys := w.listAll("log/")
	last := make(map[string]int)
	for i, key := range keys {
		if key != entryKey(i) {
			t.Fatalf("the log has %q where entry %d should be", key, i)
		}
		text, _, err := w.get(key)
		if err != nil || text != told.entries[i] {
			t.Errorf("entry %d says %q, %v; its writer was told that it is %q", i, text, err, told.entries[i])
		}
		writer, number, _ := strings.Cut(text, " entry ")
		if want := fmt.Sprint(last[writer]); number != want {
			t.Errorf("entry %d is number %s of %s, want %s", i, number, writer, want)
		}
		last[writer]++
	}
	if len(keys) != len(told.entries) || len(keys) < rounds {
		t.Errorf("the log has %d entries, %d were acknowledged", len(keys), len(told.entries))
	}
	t.Logf("%d entries", len(keys))
}

// appendEntry puts text at the first free place of the log.
func (w *worker) appendEntry(told *appended, text string) (int, error) {
	told.mu.Lock()
	index := len(told.entries) // a hint: what is free is for the store to say
	told.mu.Unlock()
	for index > 0 {
		have, _, err := w.get(entryKey(index - 1))
		if err != nil {
			return 0, err
		}
		if have != "" {
			break
		}
		index--
	}
	for ; ; index++ {
		err := w.put(entryKey(index), text, "")
		if errors.Is(err, errUnknown) && w.settle(entryKey(index), text, "") {
			err = nil
		}
		if errors.Is(err, errLost) || errors.Is(err, errUnknown) {
			continue // the place is another's
		}
		return index, err
	}
}

func (w *worker) listAll(prefix string) (keys []string) {
	w.Helper()
	pages := s3.NewListObjectsV2Paginator(w.client(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(w.Context())
		if err != nil {
			w.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys
}
