package client

import (
	"context"

	"shoal/node/consensus"
	"shoal/node/meta"
)

// System asks the system group, wherever it is led, linearizably.
func (c *Client) System(ctx context.Context, q *meta.Query) (*meta.Answer, error) {
	return c.query(ctx, consensus.SystemGroup, q)
}

// ProposeSystem runs a command on the system group. A refusal is the error.
func (c *Client) ProposeSystem(ctx context.Context, op string, cmd *meta.Command) (*meta.Result, error) {
	return c.propose(ctx, consensus.SystemGroup, op, cmd)
}
