package api

// An EpochBody is an epoch, as read or to be raised to.
type EpochBody struct {
	Epoch *uint64 `json:"epoch"`
}

// Validate reports what is wrong with the request as an *Error.
func (e *EpochBody) Validate() error {
	if e.Epoch == nil {
		return errorf(InvalidJSON, "epoch is required")
	}
	if *e.Epoch > MaxEpoch {
		return errorf(InvalidJSON, "epoch must be at most %d", uint64(MaxEpoch))
	}
	return nil
}

// Usage is what something takes up in a tier.
type Usage struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"` // of payload
}

// Limits are what the service accepts from the caller's tenant. Zero means no limit beyond the service's own.
type Limits struct {
	MaxObjectBytes   int64 `json:"max_object_bytes"`
	MaxInflightBytes int64 `json:"max_inflight_bytes"` // bodies being received at one time
	MaxPinnedBytes   int64 `json:"max_pinned_bytes"`
	MaxKeys          int   `json:"max_keys"` // of one lookup or fetch
}

// A Namespace is what is stored under one namespace of the caller's tenant.
type Namespace struct {
	Name   string           `json:"name"`
	Epoch  uint64           `json:"epoch"`
	Tiers  map[string]Usage `json:"tiers"` // by tier: "host", "disk"
	Limits Limits           `json:"limits"`
}

// A NamespacesResponse lists the namespaces that the caller may read, in order of their names.
type NamespacesResponse struct {
	Namespaces []Namespace `json:"namespaces"`
}
