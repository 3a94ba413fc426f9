package admin

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"shoal/gateway/audit"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// routes are all that is answered under /admin/v1/.
func routes() []route {
	return slices.Concat(clusterRoutes(), identityRoutes(), backupRoutes())
}

// clusterRoutes are those of the store as a whole, and of its members, drives and buckets.
func clusterRoutes() []route {
	return []route{
		report("/admin/v1/space", "What the store and its drives hold", api.Admin.Space, "admin:GetSpace"),
		report("/admin/v1/workers", "What works in the background", api.Admin.Workers, "admin:ListWorkers"),
		report("/admin/v1/groups", "Groups of metadata", api.Admin.Groups, "admin:ListMetadataGroups"),
		report("/admin/v1/members", "Nodes and gateways", api.Admin.Members, "admin:ListMembers"),
		report("/admin/v1/placement", "The placement epoch in force", api.Admin.Placement, "admin:GetPlacement"),
		report("/admin/v1/settings", "Settings that may change while the store runs", api.Admin.Settings, "admin:ListSettings"),
		report("/admin/v1/health", "Whether the store is whole, and what is not", api.Admin.Cluster, "admin:GetHealth"),
		{
			method: http.MethodGet, path: "/admin/v1/checkpoints", summary: "What the logs of this process and of other members have come to, as lines of JSON",
			actions: []string{"admin:GetCheckpoints"}, gives: reflect.TypeFor[[]byte](), stream: (*Handler).checkpoints,
		},
		question(http.MethodGet, "/admin/v1/audit/targets", "Where this process sends the records of its logs, and what waits for that", (*Handler).auditTargets, "admin:ListAuditTargets"),
		question(http.MethodGet, "/admin/v1/release", "The release of this process", (*Handler).release, "admin:GetRelease"),
		question(http.MethodGet, "/admin/v1/durability", "How many more failures objects survive", (*Handler).durability, "admin:GetDurability"),
		order(http.MethodPost, "/admin/v1/durability", "The same if a site were lost", (*Handler).durabilityWithout, "admin:GetDurability"),
		acts(question(http.MethodPost, "/admin/v1/gc", "Give back now what deleted versions take, on every node; a collection under way goes on", (*Handler).collect, "admin:CollectGarbage"), audit.OnConfiguration, lookCollection),
		question(http.MethodGet, "/admin/v1/gc/status", "How far a collection is; with verify, whether shards of deleted versions are left", (*Handler).collection, "admin:GetCollection").
			asking("verify", "BUCKET or BUCKET/PREFIX of which no shard of a deleted version should be left; all nodes are asked"),
		question(http.MethodPost, "/admin/v1/scrub", "Check every shard now, and heal what is damaged", (*Handler).scrub, "admin:Scrub"),
		acts(order(http.MethodPost, "/admin/v1/settings", "Change a setting; an empty value goes back to the default", (*Handler).setSetting, "admin:SetSetting"), audit.OnConfiguration, lookSetting),
		acts(order(http.MethodPost, "/admin/v1/invites", "Make a token by which a member may join once", (*Handler).invite, "admin:InviteMember"), audit.OnMembership, lookInvite),
		acts(order(http.MethodPost, "/admin/v1/members/allow", "Let a peer join by its ID", (*Handler).allow, "admin:AllowMember"), audit.OnMembership, lookAllow),
		acts(order(http.MethodPost, "/admin/v1/members/revoke", "Expel a member for good", (*Handler).revoke, "admin:RevokeMember"), audit.OnMembership, lookRevoked),
		acts(order(http.MethodPost, "/admin/v1/members/set", "Change a member's site or weight, or drain it", (*Handler).setMember, "admin:SetMember", "admin:Drain").choosing(), audit.OnMembership, lookMember),
		acts(order(http.MethodPost, "/admin/v1/drives/remove", "Remove a drive that is gone", (*Handler).removeDrive, "admin:RemoveDrive"), audit.OnMembership, lookDrive),
		report("/admin/v1/readonly", "Whether the store, or a bucket, is read-only", api.Admin.ReadOnlyStatus, "admin:GetReadOnly"),
		acts(order(http.MethodPost, "/admin/v1/readonly", "Make the whole store read-only, or end that", (*Handler).setReadOnly, "admin:SetReadOnly"), audit.OnConfiguration, lookReadOnly),
		question(http.MethodGet, "/admin/v1/buckets/{bucket}/readonly", "Whether a bucket is read-only by itself", (*Handler).bucketReadOnly, "admin:GetBucketReadOnly"),
		acts(order(http.MethodPost, "/admin/v1/buckets/{bucket}/readonly", "Make a bucket read-only, or end that", (*Handler).setBucketReadOnly, "admin:SetBucketReadOnly"), audit.OnConfiguration, lookBucketReadOnly),
		question(http.MethodGet, "/admin/v1/buckets/{bucket}/quota", "What a bucket holds, and what it may hold", (*Handler).usage, "admin:GetQuota"),
		acts(order(http.MethodPut, "/admin/v1/buckets/{bucket}/quota", "Bound what a bucket may hold", (*Handler).setQuota, "admin:SetQuota"), audit.OnConfiguration, lookQuota),
		acts(question(http.MethodDelete, "/admin/v1/buckets/{bucket}/quota", "Take the bounds from a bucket", (*Handler).removeQuota, "admin:SetQuota"), audit.OnConfiguration, lookQuota),
		question(http.MethodGet, "/admin/v1/buckets/{bucket}/permissions", "What a bucket's ACL grants, by whom it is granted to", (*Handler).permissions, "admin:GetPermissions"),
		acts(order(http.MethodPut, "/admin/v1/buckets/{bucket}/permissions", "Replace what a bucket's ACL grants; root keeps full control", (*Handler).setPermissions, "admin:SetPermissions"), audit.OnPermission, lookPermissions),
	}
}

func (h *Handler) scrub(ctx context.Context, _ *call) (api.ScrubReport, error) {
	return h.cfg.Admin.Scrub(ctx)
}

func (h *Handler) durability(ctx context.Context, _ *call) (api.Durability, error) {
	return h.cfg.Admin.Durability(ctx, api.DurabilityQuery{})
}

// durabilityWithout answers what would be if something were lost.
func (h *Handler) durabilityWithout(ctx context.Context, _ *call, q *api.DurabilityQuery) (api.Durability, error) {
	if q.LostSite == "" {
		return api.Durability{}, s3err.Newf(s3err.InvalidArgument, "lost_site must not be empty.")
	}
	if err := checkSite(q.LostSite); err != nil {
		return api.Durability{}, err
	}
	return h.cfg.Admin.Durability(ctx, *q)
}

func (h *Handler) auditTargets(context.Context, *call) ([]audit.TargetStatus, error) {
	if h.cfg.Targets == nil {
		return []audit.TargetStatus{}, nil
	}
	return append([]audit.TargetStatus{}, h.cfg.Targets()...), nil
}

type releaseAnswer struct {
	Release string `json:"release"`
}

func (h *Handler) release(context.Context, *call) (releaseAnswer, error) {
	return releaseAnswer{Release: h.cfg.Release}, nil
}

// errorAnswer is the body of every error.
type errorAnswer struct {
	Code    s3err.Code `json:"code"`
	Message string     `json:"message"`
}

func writeError(w http.ResponseWriter, e *s3err.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(max(int64(e.RetryAfter/time.Second), 1), 10))
	}
	writeJSON(w, e.Status, errorAnswer{Code: e.Code, Message: e.Message})
}
