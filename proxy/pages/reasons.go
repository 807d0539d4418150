package pages

import "click-deploy.org/proxy/route"

// maximumShownHost bounds how much of an unknown host is repeated to the one who asked for it.
const maximumShownHost = 253

// UnknownHost is the page for a host that leads nowhere.
func UnknownHost(host string) Page {
	if len(host) > maximumShownHost {
		host = host[:maximumShownHost] + "…"
	}
	title := "Nothing is deployed at " + host
	if host == "" {
		title = "Nothing is deployed here"
	}
	return Page{Status: 404, Code: "unknown-host", Title: title, Label: "Not found", Tone: "halt",
		Detail: "No service answers under this name. If you have just added the domain, it may not be connected yet."}
}

// NoInstance is the page for a service that has nothing running to send the request to.
func NoInstance(shown route.Route) Page {
	page := Page{Status: 503, Service: shown.Name, State: string(shown.State), Message: shown.Message}
	switch shown.State {
	case route.Building:
		page.Code, page.Label, page.Tone, page.RetryAfter, page.Refresh = "service-building", "Building", "wait", 5, 5
		page.Title = shown.Name + " is being built"
		page.Detail = "Its first version is on the way."
	case route.Deploying:
		page.Code, page.Label, page.Tone, page.RetryAfter, page.Refresh = "service-deploying", "Deploying", "wait", 3, 3
		page.Title = shown.Name + " is starting"
		page.Detail = "The new version is built and will answer soon."
	case route.Stopped:
		page.Code, page.Label, page.Tone = "service-stopped", "Stopped", "halt"
		page.Title = shown.Name + " is stopped"
		page.Detail = "Its owner has stopped this service."
	case route.Failed:
		page.Code, page.Label, page.Tone = "service-failed", "Failed", "failed"
		page.Title = shown.Name + " could not be deployed"
		page.Detail = "The last deployment failed, and no earlier version is running."
	case route.Unhealthy:
		page.Code, page.Label, page.Tone, page.RetryAfter = "service-unhealthy", "Unhealthy", "failed", 10
		page.Title = shown.Name + " is not healthy"
		page.Detail = "The service is running but does not pass its health check."
	default:
		page.Code, page.Label, page.Tone, page.RetryAfter, page.Refresh = "service-without-instance", "Unavailable", "wait", 3, 3
		page.Title = shown.Name + " has no running instance"
		page.Detail = "One should be back in a moment."
	}
	return page
}

// Unreachable is the page for a service whose instances all refused the connection.
func Unreachable(shown route.Route) Page {
	return Page{Status: 502, Code: "service-unreachable", Label: "Not reachable", Tone: "failed", Service: shown.Name, State: string(shown.State),
		Title: shown.Name + " does not accept connections", RetryAfter: 3, Refresh: 5,
		Detail: "The service is deployed, but nothing listens on its port. It may be restarting, or it may listen on another port."}
}

// BrokenOff is the page for a service that took the request and then closed the connection without an answer.
func BrokenOff(shown route.Route) Page {
	return Page{Status: 502, Code: "service-broke-off", Label: "No answer", Tone: "failed", Service: shown.Name, State: string(shown.State),
		Title: shown.Name + " closed the connection", Detail: "The service took the request and went away before it answered."}
}

// TimedOut is the page for a service that did not answer in time.
func TimedOut(shown route.Route) Page {
	return Page{Status: 504, Code: "service-timed-out", Label: "No answer", Tone: "failed", Service: shown.Name, State: string(shown.State),
		Title: shown.Name + " did not answer in time", RetryAfter: 5, Detail: "The service took too long."}
}
