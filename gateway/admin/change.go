package admin

import (
	"context"
	"time"
	"unicode"
	"unicode/utf8"

	"shoal/gateway/s3err"
	"shoal/node/api"
)

const (
	ttlMin         = time.Minute
	ttlMax         = 7 * 24 * time.Hour
	siteBytesMax   = 64
	peerIDBytesMax = 128
	weightMax      = 1000 // percent
	settingMax     = 256  // bytes of a value
	driveNameMax   = 4096 // bytes of a path
)

func checkRole(role string) error {
	if role != "node" && role != "gateway" {
		return s3err.Newf(s3err.InvalidArgument, "role must be node or gateway.")
	}
	return nil
}

func checkSite(site string) error {
	if len(site) > siteBytesMax {
		return s3err.Newf(s3err.InvalidArgument, "site must not be longer than %d bytes.", siteBytesMax)
	}
	for _, r := range site {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return s3err.Newf(s3err.InvalidArgument, "site must be text that can be printed.")
		}
	}
	return nil
}

func parseTTL(text string) (time.Duration, error) {
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < ttlMin || ttl > ttlMax {
		return 0, s3err.Newf(s3err.InvalidArgument, "ttl must be between %v and %v.", ttlMin, ttlMax)
	}
	return ttl, nil
}

// checkPeerID refuses what cannot be a peer ID; whether there is such a peer the store knows.
func checkPeerID(id string) error {
	ok := len(id) > 0 && len(id) <= peerIDBytesMax
	for i := range len(id) {
		c := id[i]
		ok = ok && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z')
	}
	if !ok {
		return s3err.Newf(s3err.InvalidArgument, "peer_id must be a peer ID, 1 to %d letters and digits.", peerIDBytesMax)
	}
	return nil
}

// firstError gives the first of the checks that failed.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// inviteRequest is the body of POST /admin/v1/invites.
type inviteRequest struct {
	Role string `json:"role"`
	Site string `json:"site,omitempty"`
	TTL  string `json:"ttl"` // as time.ParseDuration takes it
}

// inviteAnswer has the token, which is a secret, and the ID that acts of joining name it by.
type inviteAnswer struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

func (h *Handler) invite(ctx context.Context, _ *call, req *inviteRequest) (inviteAnswer, error) {
	ttl, err := parseTTL(req.TTL)
	if err := firstError(checkRole(req.Role), checkSite(req.Site), err); err != nil {
		return inviteAnswer{}, err
	}
	made, err := h.cfg.Admin.Invite(ctx, api.Invite{Role: req.Role, Site: req.Site, TTL: ttl})
	return inviteAnswer{ID: made.ID, Token: made.Token}, err
}

// allowRequest is the body of POST /admin/v1/members/allow.
type allowRequest struct {
	PeerID string `json:"peer_id"`
	inviteRequest
}

func (h *Handler) allow(ctx context.Context, _ *call, req *allowRequest) (api.Allowed, error) {
	ttl, err := parseTTL(req.TTL)
	if err := firstError(checkPeerID(req.PeerID), checkRole(req.Role), checkSite(req.Site), err); err != nil {
		return api.Allowed{}, err
	}
	return h.cfg.Admin.Allow(ctx, api.Allow{PeerID: req.PeerID, Role: req.Role, Site: req.Site, TTL: ttl})
}

// revokeRequest is the body of POST /admin/v1/members/revoke.
type revokeRequest struct {
	PeerID string `json:"peer_id"`
}

func (h *Handler) revoke(ctx context.Context, _ *call, req *revokeRequest) (api.Revoked, error) {
	if err := checkPeerID(req.PeerID); err != nil {
		return api.Revoked{}, err
	}
	return h.cfg.Admin.Revoke(ctx, req.PeerID)
}

// done is the answer to a change that has nothing to tell.
type done struct{}

// mayChange asks for the rights that a change of a member takes; one that changes nothing takes them all.
func (c *call) mayChange(req *api.MemberChange) error {
	var set, drain error
	if req.Site != nil || req.Weight != nil || req.State == "" {
		set = c.may("admin:SetMember")
	}
	if req.State != "" || req.Site == nil && req.Weight == nil {
		drain = c.may("admin:Drain")
	}
	return firstError(set, drain)
}

func (h *Handler) setMember(ctx context.Context, c *call, req *api.MemberChange) (done, error) {
	if err := c.mayChange(req); err != nil {
		return done{}, err
	}
	if err := checkPeerID(req.PeerID); err != nil {
		return done{}, err
	}
	if req.Site == nil && req.Weight == nil && req.State == "" {
		return done{}, s3err.Newf(s3err.InvalidArgument, "Nothing is to be changed: give site, weight or state.")
	}
	if req.Site != nil {
		if err := checkSite(*req.Site); err != nil {
			return done{}, err
		}
		if *req.Site == "" {
			return done{}, s3err.Newf(s3err.InvalidArgument, "site must not be empty.")
		}
	}
	if req.Weight != nil && (*req.Weight < 1 || *req.Weight > weightMax) {
		return done{}, s3err.Newf(s3err.InvalidArgument, "weight must be 1 to %d percent.", weightMax)
	}
	if req.State != "" && req.State != api.MemberActive && req.State != api.MemberDraining {
		return done{}, s3err.Newf(s3err.InvalidArgument, "state must be %s or %s.", api.MemberActive, api.MemberDraining)
	}
	return done{}, h.cfg.Admin.SetMember(ctx, *req)
}

// driveRequest is the body of POST /admin/v1/drives/remove.
type driveRequest struct {
	Drive string `json:"drive"`
}

func (h *Handler) removeDrive(ctx context.Context, _ *call, req *driveRequest) (done, error) {
	if len(req.Drive) < api.DriveNameMin || len(req.Drive) > driveNameMax {
		return done{}, s3err.Newf(s3err.InvalidArgument, "drive must be a drive's ID, %d or more digits of its beginning, or its path.", api.DriveNameMin)
	}
	return done{}, h.cfg.Admin.RemoveDrive(ctx, req.Drive)
}

// settingRequest is the body of POST /admin/v1/settings.
type settingRequest struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Force also sets a rule for addresses of peers that cuts off a member.
	Force bool `json:"force,omitempty"`
}

func (h *Handler) setSetting(ctx context.Context, _ *call, req *settingRequest) (done, error) {
	if len(req.Value) > settingMax {
		return done{}, s3err.Newf(s3err.InvalidArgument, "The value must not be longer than %d bytes.", settingMax)
	}
	if err := api.CheckSetting(req.Name, req.Value); err != nil {
		return done{}, err
	}
	return done{}, h.cfg.Admin.SetSetting(ctx, api.SettingChange(*req))
}
