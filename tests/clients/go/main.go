// Command client is a workload in Go: it uses go-spiffe, unmodified, against an agent, and finds nothing to complain about.
//
//	client x509 SOCKET SPIFFE_ID GENERATIONS   fetches X509-SVIDs, verifies them, and watches so many further generations
//	client jwt SOCKET SPIFFE_ID AUDIENCE       fetches a JWT-SVID, has it validated by the agent, and verifies it with the keys from the agent
//	client wit SOCKET SPIFFE_ID GENERATIONS    fetches a WIT-SVID with its key, verifies it with the keys from the agent, and watches so many further generations
//	client broker SOCKET SPIFFE_ID BROKER_SOCKET AGENT_ID PID WORKLOAD_ID
//	                                           is a broker: fetches the identity of another process, by the agent that has this ID
//	client mtls SOCKET SPIFFE_ID               says something to itself over mTLS, and refuses a peer with another identity
//	client verify CHAIN SPIFFE_ID BUNDLE       verifies a chain in a PEM file by the roots in another
//	client bundle URL ENDPOINT_ID BUNDLE       fetches a bundle by https_spiffe, by the bundle in a file
//	client web-bundle URL ENDPOINT_ID CAS      fetches the bundle of that ID's trust domain by https_web, by the CAs in a PEM file
//	client serve SOCKET SPIFFE_ID              says over mTLS to whoever has this identity what it heard, until its standard input ends
//	client admit SOCKET SPIFFE_ID PEER...      answers over mTLS whoever has one of these identities, line by line, until its standard input ends
//	client load SOCKET SPIFFE_ID MILLISECONDS [ADDRESS PEER]...
//	                                           calls each of these services over mTLS that often, until its standard input ends
//
// Prints one line of JSON for each thing that it saw. Ends with exit 0 when each was as the standard says, else with the reason.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/exp/svid/witsvid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// The longest wait for everything together.
const patience = 40 * time.Second

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: client x509|jwt|wit|broker|mtls|serve|admit|load|verify|bundle|web-bundle SOCKET SPIFFE_ID [GENERATIONS|AUDIENCE]"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := spiffeid.FromString(os.Args[3])
	if err != nil {
		fail(err)
	}
	address := workloadapi.WithAddr("unix://" + os.Args[2])
	switch os.Args[1] {
	case "x509":
		err = watchX509(ctx, address, id, os.Args[4])
	case "jwt":
		err = useJWT(ctx, address, id, os.Args[4])
	case "wit":
		err = watchWIT(ctx, address, id, os.Args[4])
	case "broker":
		err = actAsBroker(ctx, address, os.Args[4:])
	case "mtls":
		err = talk(ctx, address, id)
	case "verify":
		err = verifyFile(os.Args[2], id, os.Args[4])
	case "bundle":
		err = fetchAsPartner(ctx, os.Args[2], id, os.Args[4])
	case "web-bundle":
		err = fetchAsBrowser(ctx, os.Args[2], id.TrustDomain(), os.Args[4])
	case "serve":
		err = serveUntilTold(context.Background(), address, id)
	case "admit":
		err = admitPeers(context.Background(), address, os.Args[4:])
	case "load":
		err = putLoad(address, os.Args[4:])
	default:
		err = fmt.Errorf("unknown: %s", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func say(line map[string]any) error {
	return json.NewEncoder(os.Stdout).Encode(line)
}

// watcher passes each X.509 context on.
type watcher struct{ contexts chan *workloadapi.X509Context }

func (w watcher) OnX509ContextUpdate(context *workloadapi.X509Context) { w.contexts <- context }

// OnX509ContextWatchError is told of what the library tries again by itself.
func (w watcher) OnX509ContextWatchError(err error) { fmt.Fprintln(os.Stderr, err) }

func watchX509(ctx context.Context, address workloadapi.ClientOption, id spiffeid.ID, generations string) error {
	wanted, err := strconv.Atoi(generations)
	if err != nil {
		return err
	}
	client, err := workloadapi.New(ctx, address)
	if err != nil {
		return err
	}
	defer client.Close()
	contexts := make(chan *workloadapi.X509Context, 16)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go client.WatchX509Context(watching, watcher{contexts})
	seen := map[string]bool{}
	for len(seen) <= wanted {
		select {
		case update := <-contexts:
			serial, err := check(update, id)
			if err != nil {
				return err
			}
			if !seen[serial] {
				seen[serial] = true
				if err := say(map[string]any{"serial": serial}); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d generations came", len(seen), wanted+1)
		}
	}
	return nil
}

// verifyFile verifies a chain that came in a file, by roots that came in another.
func verifyFile(chain string, id spiffeid.ID, roots string) error {
	text, err := os.ReadFile(chain)
	if err != nil {
		return err
	}
	var certificates []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		certificates = append(certificates, certificate)
	}
	bundle, err := x509bundle.Load(id.TrustDomain(), roots)
	if err != nil {
		return err
	}
	verified, _, err := x509svid.Verify(certificates, bundle)
	if err != nil {
		return err
	}
	if verified != id {
		return fmt.Errorf("%s is not %s", verified, id)
	}
	return say(map[string]any{"spiffe_id": verified.String()})
}

// check verifies an SVID by the bundles that came with it, and returns its serial number.
func check(update *workloadapi.X509Context, id spiffeid.ID) (string, error) {
	svid := update.DefaultSVID()
	if svid.ID != id {
		return "", fmt.Errorf("%s is not %s", svid.ID, id)
	}
	verified, _, err := x509svid.Verify(svid.Certificates, update.Bundles)
	if err != nil {
		return "", err
	}
	if verified != id {
		return "", fmt.Errorf("verified as %s", verified)
	}
	return fmt.Sprintf("%032x", svid.Certificates[0].SerialNumber), nil
}

func useJWT(ctx context.Context, address workloadapi.ClientOption, id spiffeid.ID, audience string) error {
	client, err := workloadapi.New(ctx, address)
	if err != nil {
		return err
	}
	defer client.Close()
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience, Subject: id})
	if err != nil {
		return err
	}
	token := svid.Marshal()
	validated, err := client.ValidateJWTSVID(ctx, token, audience)
	if err != nil {
		return fmt.Errorf("the agent: %w", err)
	}
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	verified, err := jwtsvid.ParseAndValidate(token, bundles, []string{audience})
	if err != nil {
		return fmt.Errorf("the library: %w", err)
	}
	if validated.ID != id || verified.ID != id {
		return fmt.Errorf("the agent says %s, the library %s, expected %s", validated.ID, verified.ID, id)
	}
	parts := strings.Split(token, ".")
	tampered := parts[0] + "." + parts[1] + "." + parts[2][8:] + parts[2][:8]
	if _, err := client.ValidateJWTSVID(ctx, tampered, audience); err == nil {
		return fmt.Errorf("the agent accepted a tampered token")
	}
	if _, err := client.ValidateJWTSVID(ctx, token, audience+"x"); err == nil {
		return fmt.Errorf("the agent accepted a token for another")
	}
	return say(map[string]any{"sub": verified.ID.String(), "expires_at": verified.Expiry})
}

// witWatcher passes each update of WIT-SVIDs on.
type witWatcher struct{ updates chan []*witsvid.SVID }

func (w witWatcher) OnWITSVIDsUpdate(svids []*witsvid.SVID) { w.updates <- svids }

// OnWITSVIDsWatchError is told of what the library tries again by itself.
func (w witWatcher) OnWITSVIDsWatchError(err error) { fmt.Fprintln(os.Stderr, err) }

func watchWIT(ctx context.Context, address workloadapi.ClientOption, id spiffeid.ID, generations string) error {
	wanted, err := strconv.Atoi(generations)
	if err != nil {
		return err
	}
	client, err := workloadapi.New(ctx, address)
	if err != nil {
		return err
	}
	defer client.Close()
	named, err := client.FetchWITSVID(ctx, id.String())
	if err != nil {
		return err
	}
	updates := make(chan []*witsvid.SVID, 16)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go client.WatchWITSVIDs(watching, witWatcher{updates}, "")
	seen := map[string]bool{}
	for svids := []*witsvid.SVID{named}; ; {
		bundles, err := client.FetchWITBundles(ctx)
		if err != nil {
			return err
		}
		if err := checkWIT(svids[0], bundles, id); err != nil {
			return err
		}
		if token := svids[0].Marshal(); !seen[token] {
			seen[token] = true
			if err := say(map[string]any{"sub": svids[0].ID.String(), "expires_at": svids[0].Expiry}); err != nil {
				return err
			}
		}
		if len(seen) > wanted {
			return nil
		}
		select {
		case svids = <-updates:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d generations came", len(seen), wanted+1)
		}
	}
}

// checkWIT verifies a token by the keys of its trust domain, and that the private key is the one that it is bound to.
func checkWIT(svid *witsvid.SVID, bundles witbundle.Source, id spiffeid.ID) error {
	verified, err := witsvid.ParseAndValidate(svid.Marshal(), bundles)
	if err != nil {
		return err
	}
	if verified.ID != id {
		return fmt.Errorf("%s is not %s", verified.ID, id)
	}
	key, ok := svid.PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("a key of type %T", svid.PrivateKey)
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || !public.Equal(verified.PublicKey) {
		return fmt.Errorf("the private key is not that of the token")
	}
	parts := strings.Split(svid.Marshal(), ".")
	tampered := parts[0] + "." + parts[1] + "." + parts[2][8:] + parts[2][:8]
	if _, err := witsvid.ParseAndValidate(tampered, bundles); err == nil {
		return fmt.Errorf("the library accepted a tampered token")
	}
	return nil
}

func talk(ctx context.Context, address workloadapi.ClientOption, id spiffeid.ID) error {
	source, listener, err := serveOnLoopback(ctx, address, id)
	if err != nil {
		return err
	}
	defer source.Close()
	defer listener.Close()
	answer, err := ask(ctx, listener.Addr().String(), tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(id)))
	if err != nil {
		return err
	}
	other, err := spiffeid.FromPath(id.TrustDomain(), "/somebody-else")
	if err != nil {
		return err
	}
	if _, err := ask(ctx, listener.Addr().String(), tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(other))); err == nil {
		return fmt.Errorf("a server with another identity was believed")
	}
	return say(map[string]any{"answer": answer})
}

// serveUntilTold serves peers that have an identity, and follows bundles and certificates all the while.
func serveUntilTold(ctx context.Context, address workloadapi.ClientOption, id spiffeid.ID) error {
	source, listener, err := serveOnLoopback(ctx, address, id)
	if err != nil {
		return err
	}
	defer source.Close()
	defer listener.Close()
	if err := say(map[string]any{"address": listener.Addr().String()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// serveOnLoopback serves peers with this identity on a free port, with a source that follows certificates and bundles.
func serveOnLoopback(ctx context.Context, address workloadapi.ClientOption, id spiffeid.ID) (*workloadapi.X509Source, net.Listener, error) {
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		source.Close()
		return nil, nil, err
	}
	go serve(tls.NewListener(listener, tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(id))))
	return source, listener, nil
}

// serve answers each connection with what it said.
func serve(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			if text, err := io.ReadAll(io.LimitReader(connection, 5)); err == nil {
				_, _ = connection.Write(text)
			}
		}()
	}
}

func ask(ctx context.Context, address string, config *tls.Config) (string, error) {
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("hello")); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(connection)
	return string(answer), err
}
