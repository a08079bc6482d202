//! Arguments of `lr-find`.

use clap::Args;

use super::ConfigArgs;

/// Arguments of `lr-find`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LrFindArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
    /// First learning rate
    #[arg(long, default_value_t = 1e-6, value_name = "LR")]
    pub(in crate::cli) from: f64,
    /// Last learning rate
    #[arg(long, default_value_t = 1.0, value_name = "LR")]
    pub(in crate::cli) to: f64,
    /// Number of steps between them
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(20..=100_000))]
    pub(in crate::cli) steps: u64,
    /// Print JSON instead of the chart
    #[arg(long)]
    pub(in crate::cli) json: bool,
}
