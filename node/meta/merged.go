package meta

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// walker is what a fold walks with: an iterator, or two in one.
type walker interface {
	First() bool
	Next() bool
	SeekGE(key []byte) bool
	Key() []byte
	ValueAndErr() ([]byte, error)
	Close() error
}

var _ walker = (*pebble.Iterator)(nil)

// merged walks over the current versions and over those that are delete markers at once, in the order of
// their keys. No key is in both spaces. What it is told and says of keys is in terms of the first space.
type merged struct {
	first, second *pebble.Iterator
	key           []byte // of the second, in terms of the first
	ok1, ok2      bool
	onSecond      bool
}

// First implements walker.
func (m *merged) First() bool {
	m.ok1, m.ok2 = m.first.First(), m.second.First()
	return m.choose()
}

// SeekGE implements walker.
func (m *merged) SeekGE(key []byte) bool {
	m.ok1 = m.first.SeekGE(key)
	m.key = append(m.key[:0], key...)
	m.key[prefixLen] = spaceBuried
	m.ok2 = m.second.SeekGE(m.key)
	return m.choose()
}

// Next implements walker.
func (m *merged) Next() bool {
	if m.onSecond {
		m.ok2 = m.second.Next()
	} else {
		m.ok1 = m.first.Next()
	}
	return m.choose()
}

// choose picks the smaller key.
func (m *merged) choose() bool {
	if m.first.Error() != nil || m.second.Error() != nil {
		return false
	}
	m.onSecond = m.ok2
	if m.ok2 {
		m.key = append(m.key[:0], m.second.Key()...)
		m.key[prefixLen] = spaceCurrent
		m.onSecond = !m.ok1 || bytes.Compare(m.key, m.first.Key()) < 0
	}
	return m.ok1 || m.ok2
}

// Key implements walker.
func (m *merged) Key() []byte {
	if m.onSecond {
		return m.key
	}
	return m.first.Key()
}

// ValueAndErr implements walker.
func (m *merged) ValueAndErr() ([]byte, error) {
	if m.onSecond {
		return m.second.ValueAndErr()
	}
	return m.first.ValueAndErr()
}

// Close implements walker. It gives the error that ended the walk early.
func (m *merged) Close() error { return errors.Join(m.first.Close(), m.second.Close()) }
