package client

import (
	"context"
	"encoding/json"
	"fmt"

	"shoal/node/api"
)

// The client answers an operator's questions by asking the first node that is known: in a node's own
// process that is the node itself.

func ask[T any](ctx context.Context, c *Client, what string, arg any) (T, error) {
	var out T
	var in []byte
	var err error
	if arg != nil {
		if in, err = json.Marshal(arg); err != nil {
			return out, err
		}
	}
	for _, id := range c.dir.Nodes() {
		n := c.dir.Node(id)
		if n == nil {
			continue
		}
		text, err := n.Admin(ctx, what, in)
		if err != nil {
			return out, err
		}
		if err := json.Unmarshal(text, &out); err != nil {
			return out, fmt.Errorf("decode the answer to %q: %w", what, err)
		}
		return out, nil
	}
	return out, &api.Error{Kind: api.Unavailable, Op: "client.ask", Detail: "No node of the store is known."}
}

// Space implements api.Admin.
func (c *Client) Space(ctx context.Context) (api.Space, error) {
	return ask[api.Space](ctx, c, "space", nil)
}

// Workers implements api.Admin.
func (c *Client) Workers(ctx context.Context) ([]api.Worker, error) {
	return ask[[]api.Worker](ctx, c, "workers", nil)
}

// Groups implements api.Admin.
func (c *Client) Groups(ctx context.Context) ([]api.Group, error) {
	return ask[[]api.Group](ctx, c, "groups", nil)
}

// Scrub implements api.Admin.
func (c *Client) Scrub(ctx context.Context) (api.ScrubReport, error) {
	return ask[api.ScrubReport](ctx, c, "scrub", nil)
}

// Invite implements api.Admin.
func (c *Client) Invite(ctx context.Context, req api.Invite) (string, error) {
	return ask[string](ctx, c, "invite", req)
}

// Members implements api.Admin.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	return ask[[]api.Member](ctx, c, "members", nil)
}

var (
	_ api.Buckets     = (*Client)(nil)
	_ api.Objects     = (*Client)(nil)
	_ api.Uploads     = (*Client)(nil)
	_ api.Credentials = (*Client)(nil)
	_ api.Health      = (*Client)(nil)
	_ api.Admin       = (*Client)(nil)
)
