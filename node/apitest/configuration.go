package apitest

import (
	"bytes"
	"context"
	"maps"

	"shoal/node/api"
)

// Configuration gives what is set for a bucket.
func (m *Memory) Configuration(ctx context.Context, name string, _ uint64) (*api.Configuration, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, name)
	if err != nil {
		return nil, err
	}
	return &api.Configuration{Epoch: b.config.Epoch, Documents: maps.Clone(b.config.Documents)}, nil
}

// configEpoch is that of a bucket, 0 for none.
func (m *Memory) configEpoch(name string) uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if b := m.buckets[name]; b != nil {
		return b.config.Epoch
	}
	return 0
}

// SetConfiguration sets or removes a document.
func (m *Memory) SetConfiguration(ctx context.Context, req *api.SetConfiguration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(ctx, req.Bucket)
	switch {
	case err != nil:
		return err
	case req.Name == "" || len(req.Document) > api.MaxConfigSize:
		return api.Invalid("apitest.SetConfiguration", "The configuration's name or size is out of range.")
	case req.IfEpoch != nil && *req.IfEpoch != b.config.Epoch:
		return &api.Error{Kind: api.ConditionalConflict, Op: "apitest.SetConfiguration", Bucket: req.Bucket}
	}
	b.configure(req.Name, req.Document)
	return nil
}

// configure sets a document, or removes it where it is empty.
func (b *bucket) configure(name string, doc []byte) {
	if b.config.Documents == nil {
		b.config.Documents = make(map[string][]byte)
	}
	if len(doc) == 0 {
		delete(b.config.Documents, name)
	} else {
		b.config.Documents[name] = bytes.Clone(doc)
	}
	b.config.Epoch++
}
