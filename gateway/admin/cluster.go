package admin

import (
	"context"
	"sync"
	"time"

	"shoal/node/api"
)

const (
	// clusterTimeout bounds the question whether the cluster is whole.
	clusterTimeout = 10 * time.Second
	// clusterFresh is how long an answer serves: whoever reaches the port may ask, and each question
	// goes to all nodes.
	clusterFresh = 2 * time.Second
)

// clusterHealth knows what GET /health/cluster says, asking the store once for all who ask within clusterFresh.
type clusterHealth struct {
	ask func(context.Context) (api.ClusterHealth, error)
	now func() time.Time // nil means time.Now

	mu    sync.Mutex // held while the store is asked; guards what follows
	at    time.Time  // of the answer; zero before the first
	known clusterStatus
}

// clusterStatus is the answer.
type clusterStatus struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
	More    int      `json:"more,omitempty"` // reasons left out
}

const statusWhole = "whole"

func (c *clusterHealth) get(ctx context.Context) clusterStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.time(); !c.at.IsZero() && now.Sub(c.at) < clusterFresh && !now.Before(c.at) {
		return c.known
	}
	// The answer is for others too: it does not end with the one who asked first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clusterTimeout)
	defer cancel()
	h, err := c.ask(ctx)
	switch {
	case err != nil:
		c.known = clusterStatus{Status: "unknown", Reasons: []string{"The store cannot say how it is: " + api.KindOf(err).String() + "."}}
	case h.Whole:
		c.known = clusterStatus{Status: statusWhole}
	default:
		c.known = clusterStatus{Status: "not whole", Reasons: h.Reasons, More: h.More}
	}
	c.at = c.time()
	return c.known
}

func (c *clusterHealth) time() time.Time {
	if c.now == nil {
		return time.Now()
	}
	return c.now()
}
