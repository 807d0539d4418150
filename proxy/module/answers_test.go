package module

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"click-deploy.org/proxy/route"
)

func TestAHostThatNobodyPutThereIsNotFound(t *testing.T) {
	before := adminOK[route.Metrics](t, http.MethodGet, "/metrics", nil).UnknownHostRequests
	response, body := call(t, http.MethodGet, "nobody.test", "")
	expect(t, "status", response.StatusCode, http.StatusNotFound)
	if !strings.Contains(body, "Nothing is deployed at nobody.test") || response.Header.Get("Retry-After") != "" {
		t.Error(body)
	}
	expect(t, "requests for unknown hosts", adminOK[route.Metrics](t, http.MethodGet, "/metrics", nil).UnknownHostRequests, before+1)
}

func TestAServiceWithoutInstancesSaysHowItIsDoing(t *testing.T) {
	for state, wanted := range map[route.State]struct {
		title, retry string
		refresh      bool
	}{
		route.Building:  {"shop is being built", "5", true},
		route.Deploying: {"shop is starting", "3", true},
		route.Stopped:   {"shop is stopped", "", false},
		route.Failed:    {"shop could not be deployed", "", false},
		route.Unhealthy: {"shop is not healthy", "10", false},
		route.Live:      {"shop has no running instance", "3", true},
	} {
		setRoute(t, "state.test", route.Route{Service: "svc_state", Name: "shop", State: state, Message: "because of reasons"})
		response, html := call(t, http.MethodGet, "state.test", "", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		expect(t, "status", response.StatusCode, http.StatusServiceUnavailable)
		expect(t, "type", response.Header.Get("Content-Type"), "text/html; charset=utf-8")
		expect(t, "caching", response.Header.Get("Cache-Control"), "no-store")
		expect(t, "retry", response.Header.Get("Retry-After"), wanted.retry)
		expect(t, "refresh", strings.Contains(html, `http-equiv="refresh"`), wanted.refresh)
		if !strings.Contains(html, wanted.title) || !strings.Contains(html, "because of reasons") || strings.Contains(html, "ZgotmplZ") {
			t.Error(html)
		}
		_, text := call(t, http.MethodGet, "state.test", "", "Accept", "*/*")
		if !strings.HasPrefix(text, wanted.title+"\n") {
			t.Error(text)
		}
		response, content := call(t, http.MethodGet, "state.test", "", "Accept", "application/json")
		var problem map[string]any
		if err := json.Unmarshal([]byte(content), &problem); err != nil || problem["state"] != string(state) || problem["code"] == "" || problem["service"] != "shop" {
			t.Error(err, content)
		}
		expect(t, "type", response.Header.Get("Content-Type"), "application/problem+json")
	}
}

func TestPagesEscapeWhatTheyShow(t *testing.T) {
	attack := `</title><script>alert(1)</script>"'&`
	setRoute(t, "attack.test", route.Route{Service: "svc_attack", Name: attack, State: route.Failed, Message: attack + "\x1b[2J\u202e"})
	response, html := call(t, http.MethodGet, "attack.test", "", "Accept", "text/html")
	if strings.Contains(html, "<script") || strings.Count(html, "</title>") != 1 {
		t.Error(html)
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") {
		t.Error(policy)
	}
	for _, accept := range []string{"text/html", "text/plain", "application/json"} {
		if _, body := call(t, http.MethodGet, "attack.test", "", "Accept", accept); strings.ContainsAny(body, "\x1b\u202e") {
			t.Errorf("%s: %q", accept, body)
		}
	}
}

func TestAHostileHostHeaderIsHarmless(t *testing.T) {
	for _, host := range []string{"<script>alert(1)</script>", "'\"><img", "a" + strings.Repeat(".a", 2000), "..", "%00", "[::1]", ""} {
		connection, err := net.Dial("tcp", listenAddress)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\nConnection: close\r\n\r\n", host)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(host, err)
		}
		body := make([]byte, 1<<16)
		count, _ := response.Body.Read(body)
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusBadRequest || strings.Contains(string(body[:count]), "<script") || count > 10_000 {
			t.Errorf("%q: %d %s", host, response.StatusCode, body[:count])
		}
		connection.Close()
	}
}

func TestAHeadRequestGetsThePageWithoutItsBody(t *testing.T) {
	response, body := call(t, http.MethodHead, "nobody.test", "")
	expect(t, "status", response.StatusCode, http.StatusNotFound)
	expect(t, "body", body, "")
}

func TestClientsCannotPretendToBeSomebodyElse(t *testing.T) {
	var seen http.Header
	setRoute(t, "spoof.test", liveRoute("spoof", backend(t, "spoof-1", func(_ http.ResponseWriter, request *http.Request) { seen = request.Header.Clone() })))
	call(t, http.MethodGet, "spoof.test", "", "Click-Deploy-Probe", "1", "Click-Deploy-Instance", "x", "Click_deploy_probe", "1", "X-Forwarded-For", "6.6.6.6",
		"X-Forwarded-Host", "evil.test", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "1", "X_forwarded_for", "6.6.6.6", "Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "X-Kept", "yes")
	for name, wanted := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "spoof.test", "X-Forwarded-Proto": "http", "X-Kept": "yes"} {
		expect(t, name, seen.Get(name), wanted)
	}
	for name := range seen {
		if hasPrefix(name, ownPrefix) || name == "X-Forwarded-Port" || name == "X_forwarded_for" || name == "Forwarded" || name == "X-Real-Ip" {
			t.Errorf("%s reached the application", name)
		}
	}
}

func TestOnlyAProbeLearnsWhichInstanceAnsweredAndAnApplicationCannotLieAboutIt(t *testing.T) {
	setRoute(t, "probe.test", liveRoute("probe", backend(t, "probe-1", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Click-Deploy-Deployment", "dep_forged")
		writer.Header().Set("Click-Deploy-Instance", "forged")
		writer.Header().Set("Click-Deploy-Other", "forged")
		writer.WriteHeader(http.StatusTeapot)
	})))
	response, _ := call(t, http.MethodGet, "probe.test", "")
	for name := range response.Header {
		if hasPrefix(name, ownPrefix) {
			t.Errorf("%s reached the client", name)
		}
	}
	response, _ = call(t, http.MethodGet, "probe.test", "", "Click-Deploy-Probe", "1")
	expect(t, "status", response.StatusCode, http.StatusTeapot)
	expect(t, "deployment", strings.Join(response.Header["Click-Deploy-Deployment"], ","), "dep_probe")
	expect(t, "instance", strings.Join(response.Header["Click-Deploy-Instance"], ","), "probe-1")
	expect(t, "other", response.Header.Get("Click-Deploy-Other"), "")
	setRoute(t, "probe.test", route.Route{Service: "svc_probe", Name: "probe", State: route.Stopped})
	response, _ = call(t, http.MethodGet, "probe.test", "", "Click-Deploy-Probe", "1")
	expect(t, "instance on a page", response.Header.Get("Click-Deploy-Instance"), "")
}
