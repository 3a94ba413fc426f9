package apitest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/node/api"
)

// ACMEItems is an api.ACMEItems in memory.
type ACMEItems struct {
	// Now is the clock by which items expire. Default time.Now.
	Now func() time.Time

	mu    sync.Mutex // guards all below
	items map[string]api.ACMEItem
	epoch uint64
	reads int
	err   error // of every call
	puts  error // of puts
}

// Fail makes every call fail from now on; nil ends that.
func (m *ACMEItems) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// FailPuts makes every put fail from now on; nil ends that.
func (m *ACMEItems) FailPuts(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts = err
}

// Reads counts how often an item was asked for.
func (m *ACMEItems) Reads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

// get runs under mu.
func (m *ACMEItems) get(name string) api.ACMEItem {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	i := m.items[name]
	if !i.Expires.IsZero() && !now().Before(i.Expires) {
		return api.ACMEItem{}
	}
	return i
}

// ACMEItem implements api.ACMEItems.
func (m *ACMEItems) ACMEItem(_ context.Context, name string) (api.ACMEItem, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	return m.get(name), m.err
}

// PutACMEItem implements api.ACMEItems.
func (m *ACMEItems) PutACMEItem(_ context.Context, put api.PutACMEItem) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	have := m.get(put.Name)
	switch {
	case m.err != nil:
		return 0, m.err
	case m.puts != nil:
		return 0, m.puts
	case put.CreateOnly && have.Epoch != 0, put.IfEpoch != 0 && put.IfEpoch != have.Epoch:
		return 0, &api.Error{Kind: api.ConditionalConflict, Op: "apitest.PutACMEItem"}
	case put.Name == "" || len(put.Name) > api.ACMENameMax || len(put.Content) > api.ACMEContentMax:
		return 0, api.Invalid("apitest.PutACMEItem", "The item is out of range.")
	}
	if m.items == nil {
		m.items = make(map[string]api.ACMEItem)
	}
	m.epoch++
	put.Epoch = m.epoch
	m.items[put.Name] = put.ACMEItem
	return m.epoch, nil
}

// DeleteACMEItem implements api.ACMEItems.
func (m *ACMEItems) DeleteACMEItem(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		delete(m.items, name)
	}
	return m.err
}

// ACMESuite is what every implementation of api.ACMEItems passes.
func ACMESuite(t *testing.T, s api.ACMEItems) {
	t.Helper()
	is := func(name string, want api.ACMEItem) {
		t.Helper()
		got, err := s.ACMEItem(t.Context(), name)
		if err != nil || got.Name != want.Name || !bytes.Equal(got.Content, want.Content) || got.Epoch != want.Epoch || !got.Expires.Equal(want.Expires) {
			t.Errorf("%v of epoch %d until %v, %v; want epoch %d until %v", got, got.Epoch, got.Expires, err, want.Epoch, want.Expires)
		}
	}
	refused := func(put api.PutACMEItem, want api.Kind) {
		t.Helper()
		if epoch, err := s.PutACMEItem(t.Context(), put); api.KindOf(err) != want {
			t.Errorf("put %v: epoch %d, %v; want %v", put, epoch, err, want)
		}
	}
	put := func(put api.PutACMEItem) api.ACMEItem {
		t.Helper()
		epoch, err := s.PutACMEItem(t.Context(), put)
		if err != nil || epoch == 0 {
			t.Fatalf("put %v: epoch %d, %v", put, epoch, err)
		}
		put.Epoch = epoch
		return put.ACMEItem
	}
	is("a", api.ACMEItem{})
	end := time.Now().Add(time.Hour).Round(0)
	first := put(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "a", Content: []byte("first"), Expires: end}, CreateOnly: true})
	is("a", first)
	refused(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "a", Content: []byte("second")}, CreateOnly: true}, api.ConditionalConflict)
	refused(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "b", Content: []byte("second")}, IfEpoch: first.Epoch}, api.ConditionalConflict)
	is("a", first)
	second := put(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "a", Content: bytes.Repeat([]byte{0xFF}, api.ACMEContentMax)}, IfEpoch: first.Epoch})
	is("a", second)
	refused(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "a", Content: []byte("third")}, IfEpoch: first.Epoch}, api.ConditionalConflict)
	is("a", second)
	refused(api.PutACMEItem{ACMEItem: api.ACMEItem{Content: []byte("nameless")}}, api.InvalidArgument)
	refused(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: strings.Repeat("n", api.ACMENameMax+1), Content: []byte("x")}}, api.InvalidArgument)
	refused(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "c", Content: make([]byte, api.ACMEContentMax+1)}}, api.InvalidArgument)
	put(api.PutACMEItem{ACMEItem: api.ACMEItem{Name: "gone", Content: []byte("x"), Expires: time.Now().Add(-time.Minute)}})
	is("gone", api.ACMEItem{})
	for range 2 {
		if err := s.DeleteACMEItem(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
	is("a", api.ACMEItem{})
}
