package node

import (
	"context"
	"time"

	"shoal/node/api"
	"shoal/node/meta"
)

// acmeItem opens an item that gateways share. One that has expired is none.
func (n *Node) acmeItem(ctx context.Context, name string) (api.ACMEItem, error) {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_AcmeItem{AcmeItem: &meta.AcmeItemQuery{Name: name}}})
	if err != nil {
		return api.ACMEItem{}, err
	}
	kept := a.GetAcmeItem()
	if kept.GetName() == "" || kept.Expires != 0 && kept.Expires <= n.cfg.Now().UnixNano() {
		return api.ACMEItem{}, nil
	}
	item := api.ACMEItem{Name: kept.Name, Epoch: kept.Epoch}
	if kept.Expires != 0 {
		item.Expires = time.Unix(0, kept.Expires).UTC()
	}
	item.Content, err = n.keys.OpenACME(kept.Name, kept.Sealed)
	return item, err
}

// putACMEItem seals an item and keeps it.
func (n *Node) putACMEItem(ctx context.Context, put api.PutACMEItem) (epoch uint64, err error) {
	if len(put.Name) > api.ACMENameMax || len(put.Content) > api.ACMEContentMax {
		return 0, api.Invalid("node.putACMEItem", "The item's name or content is too long.")
	}
	item := &meta.AcmeItem{Name: put.Name}
	if item.Sealed, err = n.keys.SealACME(put.Name, put.Content); err != nil {
		return 0, err
	}
	if !put.Expires.IsZero() {
		item.Expires = put.Expires.UnixNano()
	}
	r, err := n.client.ProposeSystem(ctx, "node.putACMEItem", &meta.Command{Op: &meta.Command_PutAcmeItem{
		PutAcmeItem: &meta.PutAcmeItem{Item: item, CreateOnly: put.CreateOnly, IfEpoch: put.IfEpoch}}})
	return r.GetAcmeItem().GetEpoch(), err
}

// deleteACMEItem forgets an item.
func (n *Node) deleteACMEItem(ctx context.Context, name string) error {
	_, err := n.client.ProposeSystem(ctx, "node.deleteACMEItem", &meta.Command{Op: &meta.Command_DeleteAcmeItem{DeleteAcmeItem: &meta.DeleteAcmeItem{Name: name}}})
	return err
}
