export const words = {
  en: { orders: "Orders a minute", revenue: "Revenue a minute", conversion: "Conversion", redemption: "Redemption share", attach: "Attach rate" },
  zh: { orders: "每分钟订单", revenue: "每分钟营业额", conversion: "转化率", redemption: "核销率", attach: "连带率" },
};
