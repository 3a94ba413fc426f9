package edge

import (
	"fmt"
	"time"
)

// ConnectionsMax is how many connections are open at most, unless Limits say otherwise.
const ConnectionsMax = 8192

// Limits bound what clients may take. The zero value of a field means its default.
type Limits struct {
	// HeaderTimeout is how long a request head may take. Default 10 s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request. Default 120 s.
	IdleTimeout time.Duration
	// StallTimeout is how long a body may stand still, in either direction. Default 30 s.
	StallTimeout time.Duration
	// RateMin is the least rate, in bytes per second, of a body for whose bytes the
	// gateway waits. Default 256.
	RateMin int64
	// HeaderBytesMax bounds a request head. Default 32 KiB.
	HeaderBytesMax int
	// ConnectionsMax bounds open connections. Default 8,192.
	ConnectionsMax int
	// ConnectionsPerSourceMax bounds the connections of one source that is not
	// loopback. Default half of ConnectionsMax.
	ConnectionsPerSourceMax int
	// RequestsMax bounds requests in flight. Default 1,024.
	RequestsMax int
	// RequestsPerSourceMax bounds those of one source, loopback included. Default a quarter of RequestsMax.
	RequestsPerSourceMax int
	// FormTimeout is how long a form may take of which it is not known yet whether it may be sent. Default 5 s.
	FormTimeout time.Duration
}

// withDefaults fills what was left open.
func (l Limits) withDefaults() Limits {
	setDefault(&l.HeaderTimeout, 10*time.Second)
	setDefault(&l.IdleTimeout, 120*time.Second)
	setDefault(&l.StallTimeout, 30*time.Second)
	setDefault(&l.RateMin, 256)
	setDefault(&l.HeaderBytesMax, 32<<10)
	setDefault(&l.ConnectionsMax, ConnectionsMax)
	setDefault(&l.ConnectionsPerSourceMax, max(l.ConnectionsMax/2, 1))
	setDefault(&l.RequestsMax, 1024)
	setDefault(&l.RequestsPerSourceMax, max(l.RequestsMax/4, 1))
	setDefault(&l.FormTimeout, 5*time.Second)
	return l
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports every limit that cannot be.
func (l Limits) Validate() []error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"header timeout", int64(l.HeaderTimeout)}, {"idle timeout", int64(l.IdleTimeout)},
		{"stall timeout", int64(l.StallTimeout)}, {"least rate", l.RateMin},
		{"header bytes", int64(l.HeaderBytesMax)}, {"connections", int64(l.ConnectionsMax)},
		{"connections per source", int64(l.ConnectionsPerSourceMax)}, {"requests", int64(l.RequestsMax)},
		{"requests per source", int64(l.RequestsPerSourceMax)}, {"form timeout", int64(l.FormTimeout)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("limit of %s must not be negative", f.name))
		}
	}
	return errs
}
