package peer

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"shoal/node/api"
	"shoal/node/meta"
	"shoal/p2p"
)

// forGateways are the commands that a gateway sends.
var forGateways = map[protoreflect.Name]bool{
	"create_bucket": true, "finish_create_bucket": true, "prepare_site": true, "begin_delete_bucket": true, "finish_delete_bucket": true,
	"cancel_delete_bucket": true, "fence_bucket": true, "unfence_bucket": true, "set_bucket_config": true, "set_object_lock": true,
	"put_version": true, "delete_objects": true, "alter_version": true, "rename_object": true,
	"create_upload": true, "put_part": true, "complete_upload": true, "abort_upload": true, "condemn": true,
	"put_credential": true, "delete_credential": true, "put_identity": true, "delete_identity": true,
	"set_read_only": true, "note_key_uses": true,
}

// TestCommandsOfGateways sends every command that there is, as a gateway and as a node. One that is added is for nodes
// alone until this list and gatewayMay say otherwise.
func TestCommandsOfGateways(t *testing.T) {
	s := &stub{}
	gateway, node := remote(t, s, p2p.RoleGateway), remote(t, s, p2p.RoleNode)
	ops := new(meta.Command).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	for i := range ops.Len() {
		f := ops.Get(i)
		cmd := new(meta.Command)
		cmd.ProtoReflect().Mutable(f)
		_, err := gateway.Propose(t.Context(), 1, cmd)
		if got := err == nil; got != forGateways[f.Name()] || err != nil && api.KindOf(err) != api.AccessDenied {
			t.Errorf("%s as a gateway: %v", f.Name(), err)
		}
		if _, err := node.Propose(t.Context(), 1, cmd); err != nil {
			t.Errorf("%s as a node: %v", f.Name(), err)
		}
	}
	for _, what := range []string{"invite", "allow", "set-member", "revoke", "remove-drive", "set-peer-rule"} {
		if _, err := gateway.Admin(t.Context(), what, nil); api.KindOf(err) != api.AccessDenied {
			t.Errorf("%s as a gateway: %v", what, err)
		}
		if _, err := node.Admin(t.Context(), what, nil); err != nil {
			t.Errorf("%s as a node: %v", what, err)
		}
	}
	if _, err := gateway.Admin(t.Context(), "members", nil); err != nil {
		t.Errorf("a question as a gateway: %v", err)
	}
	if _, err := gateway.Propose(t.Context(), 1, new(meta.Command)); api.KindOf(err) != api.AccessDenied {
		t.Errorf("no command: %v", err)
	}
}
