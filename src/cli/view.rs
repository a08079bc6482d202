//! `view`: a screen on a recorded run, or on a live one as `attach` shows it.

use std::ffi::OsString;

use color_eyre::eyre::Report;

use super::args::ScreenshotArgs;
use super::print::{print_error, print_line};
use super::screen::{available, replay};
use super::{attach, code, searched_runs};
use crate::config::Loaded;
use crate::session::wire::Role;
use crate::session::{RunTarget, client_name, find, resolve};

/// Shows a run: a live one on its live screen, another from its journal. Without a terminal, prints its lines.
pub(super) fn run(
    loaded: &Loaded,
    wanted: &[OsString],
    args: &ScreenshotArgs,
) -> Result<u8, Report> {
    let run = wanted.first().map(OsString::as_os_str);
    match resolve(&searched_runs(loaded), run) {
        Ok(run) => {
            let others = wanted.get(1..).unwrap_or_default();
            if args.screenshot.is_none()
                && args.page.is_none()
                && available().is_ok()
                && let Ok(RunTarget::Live(connected, _)) = find(
                    &searched_runs(loaded),
                    Some(run.path.as_os_str()),
                    Role::Screen,
                    &client_name("screen"),
                )
            {
                print_line(&format!(
                    "{}: run is live; showing its live screen",
                    run.path.display()
                ));
                return attach::live(loaded, *connected, false, others);
            }
            replay(loaded, &run, Some(args), others)
        }
        Err(error) => {
            print_error(&format!("error: {error}"));
            Ok(code::USAGE)
        }
    }
}
