//! AdamW against a trace of PyTorch 2.11's.
//!
//! Made with:
//! ```python
//! import torch
//! theta = torch.tensor([0.5, -1.25, 2.0, 0.03125])
//! decayed, plain = theta[:2].clone().requires_grad_(), theta[2:].clone().requires_grad_()
//! opt = torch.optim.AdamW([{"params": [decayed], "weight_decay": 0.05}, {"params": [plain], "weight_decay": 0.0}],
//!                         lr=1e-2, betas=(0.9, 0.999), eps=1e-8)
//! c, w = torch.tensor([1.0, -0.5, 3.0, 0.25]), torch.tensor([1.0, 2.0, 0.5, 4.0])
//! for t in range(50):
//!     for g in opt.param_groups: g["lr"] = 1e-2 * (t + 1) / 50
//!     x = torch.cat([decayed, plain])
//!     loss = ((x - c) ** 2 * w).sum() + (x.sin() * (t % 3)).sum()
//!     opt.zero_grad(); loss.backward(); opt.step()
//!     if t in (0, 9, 49):
//!         f = lambda k: torch.cat([opt.state[p][k] for p in (decayed, plain)]).tolist()
//!         print(t + 1, torch.cat([decayed, plain]).tolist(), f("exp_avg"), f("exp_avg_sq"))
//! ```

use epochtop::config::Config;
use epochtop::train::AdamW;
use tch::Tensor;

/// Step, weights, mean of gradients, mean of squared gradients.
type Row = (usize, [f32; 4], [f32; 4], [f32; 4]);

const TRACE: [Row; 3] = [
    (
        1,
        [0.500_194_97, -1.249_787_4, 2.000_2, 0.031_45],
        [-0.1, -0.3, -0.1, -0.175],
        [0.001, 0.009, 0.001, 0.003_062_5],
    ),
    (
        10,
        [0.502_700_3, -1.238_409_6, 2.010_787_2, 0.038_937_397],
        [-0.132_289_5, -1.754_117, -0.896_235_6, -0.534_385_5],
        [0.005_719_781, 0.073_233_16, 0.020_001_661, 0.013_744_048],
    ),
    (
        50,
        [0.532_574, -1.004_376_9, 2.246_833_6, 0.131_092_09],
        [-0.115_523_31, -1.847_087, -1.365_356_1, -0.149_376_1],
        [0.025_195_422, 0.263_640_05, 0.102_872_63, 0.044_388_26],
    ),
];

fn close(tensor: &Tensor, expected: [f32; 4], what: &str, step: usize) {
    let got: Vec<f32> = tensor.detach().try_into().unwrap();
    for (a, b) in got.iter().zip(expected) {
        assert!(
            (a - b).abs() <= 1e-6 * b.abs().max(1.0),
            "{what} after step {step}: {got:?}, PyTorch has {expected:?}"
        );
    }
}

#[test]
fn fifty_steps_follow_pytorch() {
    let mut config = Config::default().optim;
    config.weight_decay = 0.05;
    let mut optimizer = AdamW::with_mask(&config, Tensor::from_slice(&[1.0_f32, 1.0, 0.0, 0.0]));
    let mut theta = Tensor::from_slice(&[0.5_f32, -1.25, 2.0, 0.03125]);
    let c = Tensor::from_slice(&[1.0_f32, -0.5, 3.0, 0.25]);
    let w = Tensor::from_slice(&[1.0_f32, 2.0, 0.5, 4.0]);
    let ok = Tensor::from(true);
    for t in 0..50 {
        let gradient = (&theta - &c) * &w * 2.0 + theta.cos() * f64::from(t % 3);
        optimizer.step(&mut theta, &gradient, 1e-2 * f64::from(t + 1) / 50.0, &ok);
        let step = t as usize + 1;
        if let Some((_, weights, mean, square)) = TRACE.iter().find(|row| row.0 == step) {
            close(&theta, *weights, "weights", step);
            close(&optimizer.state().exp_avg, *mean, "exp_avg", step);
            close(&optimizer.state().exp_avg_sq, *square, "exp_avg_sq", step);
        }
    }
}
