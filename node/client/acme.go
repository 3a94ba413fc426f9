package client

import (
	"context"

	"shoal/node/api"
)

var _ api.ACMEItems = (*Client)(nil)

// ACMEItem implements api.ACMEItems. A node does it: it has the key that items are sealed under.
func (c *Client) ACMEItem(ctx context.Context, name string) (api.ACMEItem, error) {
	return ask[api.ACMEItem](ctx, c, "acme-item", name)
}

// PutACMEItem implements api.ACMEItems.
func (c *Client) PutACMEItem(ctx context.Context, put api.PutACMEItem) (epoch uint64, err error) {
	return act[uint64](ctx, c, "put-acme-item", put)
}

// DeleteACMEItem implements api.ACMEItems.
func (c *Client) DeleteACMEItem(ctx context.Context, name string) error {
	_, err := act[struct{}](ctx, c, "delete-acme-item", name)
	return err
}
