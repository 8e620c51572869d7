//! Where a human decides: the address of the operator's inbox, where the
//! operator said so. An approval is announced here and given there; nothing a
//! client answers counts as one.

use rmcp::model::{ElicitRequest, ElicitRequestParams, ProtocolVersion, ServerRequest};
use rmcp::service::{Peer, RequestContext, RoleServer};

/// Names the address, for the agent; the policy sets it.
const INBOX: &str = "SR_INBOX_URL";

/// Bytes of the longest address that is passed on.
const MAX_URL: usize = 256;

/// The address, where there is one that is fit to be shown.
pub fn inbox() -> Option<String> {
    std::env::var(INBOX).ok().filter(|url| fit(url))
}

fn fit(url: &str) -> bool {
    let scheme = url.starts_with("http://") || url.starts_with("https://");
    scheme && url.len() <= MAX_URL && url.bytes().all(|b| b.is_ascii_graphic())
}

/// Tells a client's user where to decide, where the client can show an
/// address. What comes back is not looked at: the agent itself could have
/// said it.
pub fn tell(context: &RequestContext<RoleServer>, url: &str, approval: u64) {
    if !shows_addresses(context) {
        return;
    }
    let params = ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message: format!(
            "Approval {approval} waits for a decision in the operator's inbox. \
             It is given there and nowhere else."
        ),
        url: url.to_owned(),
        elicitation_id: format!("strongroom-approval-{approval}"),
    };
    let peer: Peer<RoleServer> = context.peer.clone();
    tokio::spawn(async move {
        let request = ServerRequest::ElicitRequest(ElicitRequest::new(params));
        let _ = peer.send_request(request).await;
    });
}

/// Revision 2025-11-25 alone has servers that ask clients to show an address.
fn shows_addresses(context: &RequestContext<RoleServer>) -> bool {
    let client = context.peer.peer_info();
    let elicitation = client.as_ref().and_then(|c| c.capabilities.elicitation.as_ref());
    context.protocol_version() == Some(ProtocolVersion::V_2025_11_25)
        && elicitation.is_some_and(|e| e.url.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_passed_on() {
        assert!(fit("http://127.0.0.1:8765/"));
        assert!(fit("https://inbox.example/a?b=c"));
        let long = format!("https://{}", "x".repeat(MAX_URL));
        for bad in ["", "ftp://x", "javascript:1", "http://a b", "http://a\n", "http://é", &long] {
            assert!(!fit(bad), "{bad}");
        }
    }
}
