package server

import (
	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// namespaces lists what the caller may read of what its tenant holds.
func (s *Server) namespaces(c *call) error {
	list := api.NamespacesResponse{Namespaces: []api.Namespace{}}
	for _, usage := range s.store.Namespaces(c.who.tenant) {
		if c.who.may(verbRead, usage.Scope.Namespace) {
			list.Namespaces = append(list.Namespaces, s.describeNamespace(usage))
		}
	}
	return c.json(list)
}

// namespace tells about one namespace. One that holds nothing is no error: any valid name can be written to.
func (s *Server) namespace(c *call) error {
	found := tiers.NamespaceUsage{Scope: c.scope(s.store)}
	for _, usage := range s.store.Namespaces(c.who.tenant) {
		if usage.Scope.Namespace == c.path.Namespace {
			found = usage
		}
	}
	return c.json(s.describeNamespace(found))
}

func (s *Server) describeNamespace(usage tiers.NamespaceUsage) api.Namespace {
	n := api.Namespace{
		Name:   usage.Scope.Namespace,
		Epoch:  usage.Scope.Epoch,
		Tiers:  make(map[string]api.Usage),
		Limits: s.limits(usage.Scope.Tenant),
	}
	for tier, u := range usage.Tiers {
		n.Tiers[tier] = api.Usage{Entries: u.Entries, Bytes: u.Bytes}
	}
	return n
}

// limits returns what the service accepts from a tenant.
func (s *Server) limits(tenant string) api.Limits {
	own := s.access.limits(tenant)
	return api.Limits{
		MaxObjectBytes:   s.store.MaxObjectBytes(),
		MaxInflightBytes: own.InFlightBytes,
		MaxPinnedBytes:   own.PinnedBytes,
		MaxKeys:          api.MaxKeys,
	}
}

// epoch tells the namespace's epoch.
func (s *Server) epoch(c *call) error {
	current := c.scope(s.store).Epoch
	return c.json(api.EpochBody{Epoch: &current})
}

// raiseEpoch makes everything older unreachable, because the weights have changed.
func (s *Server) raiseEpoch(c *call) error {
	var req api.EpochBody
	if err := c.decode(s, &req); err != nil {
		return err
	}
	scope := tiers.Scope{Tenant: c.who.tenant, Namespace: c.path.Namespace, Epoch: *req.Epoch}
	if err := s.store.RaiseEpoch(c.ctx(), scope); err != nil {
		return err
	}
	return c.json(req)
}
