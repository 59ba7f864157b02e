//! `tidings invite`.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use tidings_api::types::{CreateInvite, Exit};

use crate::context::Context;
use crate::failure::Failure;
use crate::{duration, output};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long it can be used, for example 1h or 7d
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "1d")]
    expires_in: Duration,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let request = CreateInvite { expires_in_seconds: Some(arguments.expires_in.as_secs()) };
        let invite = context.client().await?.create_invite(&request).await?;
        context.print(&invite, |out| {
            if std::io::stdout().is_terminal() {
                match code(&invite.invite) {
                    Some(code) => out.push_str(&format!("{code}\n\n")),
                    None => output::remark("The invite is too long for a QR code."),
                }
            }
            out.push_str(&format!("{}\n", invite.invite));
        })?;
        if !context.is_json() {
            output::remark(&format!("\nFor one person, until {}. There: tidings join LINK", invite.expires_at));
        }
        Ok(Exit::Done)
    })
}

/// Draws a QR code, light on dark as terminals mostly are. In capitals it needs a third fewer modules.
fn code(invite: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(invite.to_uppercase(), EcLevel::L).ok()?;
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_drawn_in_half_blocks_and_an_endless_one_is_not() {
        let drawn = code("tidings:abcdefgh").unwrap();
        assert!(drawn.chars().all(|c| " ▀▄█\n".contains(c)), "{drawn}");
        assert!(code(&"tidings:".repeat(1_000)).is_none());
    }
}
