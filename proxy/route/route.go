package route

import (
	"fmt"
	"net/netip"
	"slices"
	"unicode"
	"unicode/utf8"
)

// State says how a service is doing. It decides the page that is shown while the service has no instance.
type State string

// The states of a service. A service with instances is proxied in every state except Stopped, which must have none.
const (
	Live      State = "live"
	Building  State = "building"
	Deploying State = "deploying"
	Stopped   State = "stopped"
	Failed    State = "failed"
	Unhealthy State = "unhealthy"
)

var states = []State{Live, Building, Deploying, Stopped, Failed, Unhealthy}

// Limits on what the control plane may put into the table.
const (
	maximumRoutes     = 200_000
	maximumInstances  = 256
	maximumIdentifier = 128
	maximumName       = 256
	maximumMessage    = 4096
)

// Route is what a host leads to, as the control plane describes it.
type Route struct {
	// Service is the id of the service, under which requests are counted.
	Service string `json:"service"`
	// Name is what people call the service; it is shown on pages.
	Name string `json:"name"`
	// State decides the page while there is no instance.
	State State `json:"state"`
	// Message is shown on pages below the state, as plain text.
	Message string `json:"message"`
	// Deployment is the id of the deployment that the instances belong to.
	Deployment string `json:"deployment"`
	// Instances are the replicas that requests are spread over.
	Instances []Replica `json:"instances"`
}

// Replica is one running copy of a service.
type Replica struct {
	// ID names the replica; requests in flight are counted under it.
	ID string `json:"id"`
	// Address is its ip:port.
	Address string `json:"address"`
}

// Equal tells whether two routes say the same.
func (r *Route) Equal(other *Route) bool {
	return r.Service == other.Service && r.Name == other.Name && r.State == other.State && r.Message == other.Message &&
		r.Deployment == other.Deployment && slices.Equal(r.Instances, other.Instances)
}

// check refuses a route that breaks a rule, and brings one that does not into its one form.
func (r *Route) check() error {
	if err := checkIdentifier("service", r.Service); err != nil {
		return err
	}
	if r.Deployment != "" {
		if err := checkIdentifier("deployment", r.Deployment); err != nil {
			return err
		}
	}
	if err := checkName(r.Name); err != nil {
		return err
	}
	if len(r.Message) > maximumMessage || !utf8.ValidString(r.Message) {
		return fmt.Errorf("a message is at most %d bytes of UTF-8", maximumMessage)
	}
	if !slices.Contains(states, r.State) {
		return fmt.Errorf("a state is one of %v", states)
	}
	if r.State == Stopped && len(r.Instances) > 0 {
		return fmt.Errorf("a stopped service has no instances")
	}
	return r.checkInstances()
}

func (r *Route) checkInstances() error {
	if len(r.Instances) > maximumInstances {
		return fmt.Errorf("a route has at most %d instances, not %d", maximumInstances, len(r.Instances))
	}
	if r.Instances == nil {
		r.Instances = []Replica{}
	}
	seen := make(map[string]bool, len(r.Instances))
	for index := range r.Instances {
		replica := &r.Instances[index]
		if err := checkIdentifier("instance", replica.ID); err != nil {
			return err
		}
		if seen[replica.ID] {
			return fmt.Errorf("an instance is named once in a route, %s is named twice", replica.ID)
		}
		seen[replica.ID] = true
		address, err := netip.ParseAddrPort(replica.Address)
		if err != nil || address.Port() == 0 || address.Addr().IsUnspecified() || address.Addr().IsMulticast() || address.Addr().Zone() != "" {
			return fmt.Errorf("an address is ip:port of one machine, which that of instance %s is not", replica.ID)
		}
		replica.Address = address.String()
	}
	return nil
}

// checkIdentifier keeps identifiers to characters that are safe in headers, paths and logs.
func checkIdentifier(what, text string) error {
	if text == "" || len(text) > maximumIdentifier {
		return fmt.Errorf("a %s id is 1 to %d characters long, not %d", what, maximumIdentifier, len(text))
	}
	for _, character := range []byte(text) {
		switch {
		case character >= 'a' && character <= 'z', character >= 'A' && character <= 'Z', character >= '0' && character <= '9':
		case character == '_', character == '-', character == '.', character == ':':
		default:
			return fmt.Errorf("a %s id consists of letters, digits, '_', '-', '.' and ':'", what)
		}
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > maximumName || !utf8.ValidString(name) {
		return fmt.Errorf("a name is 1 to %d bytes of UTF-8", maximumName)
	}
	for _, character := range name {
		if unicode.IsControl(character) {
			return fmt.Errorf("a name has no control characters")
		}
	}
	return nil
}
